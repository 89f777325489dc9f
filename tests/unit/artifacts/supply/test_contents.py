# SPDX-License-Identifier: Apache-2.0
"""What layers say an image holds, and layers that are refused."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from artifacts.oci.layout import Descriptor, ImageManifest, Layout
from artifacts.oci.media import IMAGE_CONFIG, LAYER_TAR_GZIP
from artifacts.stores.testing import refused
from artifacts.supply import contents as module
from artifacts.supply.contents import BENTO_PATH, read_contents
from artifacts.supply.testing import SYSTEM, layer_of, put_image
from core.errors import ErrorCode


def _contents(layout: Layout, image: Descriptor) -> module.Contents:
    return read_contents(layout, layout.manifest(image))


def test_later_layers_replace_and_remove(tmp_path: Path) -> None:
    """The last layer that says something about a path is the one that counts; a sibling is left alone."""
    layout = Layout.create(tmp_path / "layout")
    first = layer_of({f"{BENTO_PATH}/a": b"1", f"{BENTO_PATH}/b/c": b"1", f"{BENTO_PATH}/bb": b"1"})
    second = layer_of({f"{BENTO_PATH}/a": b"2", f"{BENTO_PATH}/.wh.b": b"", "./usr/x": b""})
    found = _contents(layout, put_image(layout, [layer_of(SYSTEM), first, second]))
    assert found.bento == {"a": digest_bytes(b"2"), "bb": digest_bytes(b"1")}
    assert found.system == "debian 12"
    assert {package.name for package in found.packages} == {"libc6", "msgspec"}


def test_a_removed_package_is_not_listed(tmp_path: Path) -> None:
    """A whiteout of its metadata takes it out of the SBOM."""
    layout = Layout.create(tmp_path / "layout")
    gone = layer_of({"usr/lib/python3/site/.wh.msgspec-0.22.0.dist-info": b""})
    found = _contents(layout, put_image(layout, [layer_of(SYSTEM), gone]))
    assert {package.name for package in found.packages} == {"libc6"}


def _image(layout: Layout, layer: bytes, *, diff_id: str, media: str = LAYER_TAR_GZIP) -> Descriptor:
    config = json.dumps({"rootfs": {"diff_ids": [diff_id]}}).encode()
    return layout.put_manifest(
        ImageManifest(
            config=layout.put_bytes(config, media_type=IMAGE_CONFIG),
            layers=(layout.put_bytes(layer, media_type=media),),
        )
    )


@pytest.mark.parametrize(
    "layer", [b"no gzip", gzip.compress(b"no tar" * 200, mtime=0), gzip.compress(layer_of(SYSTEM))[:-200]]
)
def test_what_is_no_layer_is_refused(tmp_path: Path, layer: bytes) -> None:
    """Neither gzip, nor a tar, nor whole: SIGN_010."""
    layout = Layout.create(tmp_path / "layout")
    with refused(ErrorCode.MANIFEST_INVALID):
        _contents(layout, _image(layout, layer, diff_id=digest_bytes(b"")))


def test_a_layer_must_be_the_configured_one(tmp_path: Path) -> None:
    """A blob that unpacks to something else than the configuration says is refused: SIGN_004."""
    layout = Layout.create(tmp_path / "layout")
    with refused(ErrorCode.DIGEST_MISMATCH):
        _contents(layout, _image(layout, gzip.compress(layer_of(SYSTEM)), diff_id=digest_bytes(b"other")))


def test_an_unknown_compression_is_refused(tmp_path: Path) -> None:
    """A layer nobody here can read is not skipped."""
    layout = Layout.create(tmp_path / "layout")
    with refused(ErrorCode.MANIFEST_INVALID, "gzip"):
        _contents(layout, _image(layout, b"x", diff_id="", media="application/vnd.oci.image.layer.v1.tar+zstd"))


def test_layers_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer that unpacks to more than the limit, or holds more entries, is refused while it is read."""
    layout = Layout.create(tmp_path / "layout")
    image = put_image(layout, [layer_of({"zeros": bytes(1 << 20)})])
    monkeypatch.setattr(module, "MAX_PLAIN_BYTES", 1 << 19)
    with refused(ErrorCode.MANIFEST_INVALID, "too large"):
        _contents(layout, image)
    monkeypatch.undo()
    monkeypatch.setattr(module, "MAX_ENTRIES", 1)
    many = put_image(layout, [layer_of(SYSTEM)])
    with refused(ErrorCode.MANIFEST_INVALID, "entries"):
        _contents(layout, many)
