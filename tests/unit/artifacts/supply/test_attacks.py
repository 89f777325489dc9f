# SPDX-License-Identifier: Apache-2.0
"""Images made to be taken for what they are not: whoever builds, stores or lists them, none passes.

Most are signed with the right key: whoever makes images for the registry has no key, but what it makes gets signed.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from artifacts.digest import digest_bytes
from artifacts.oci.layout import ImageIndex, ImageManifest
from artifacts.oci.media import IMAGE_CONFIG, LAYER_TAR, LAYER_TAR_GZIP, REF_NAME
from artifacts.oci.shipping import image_in
from artifacts.signing.bundle import seal
from artifacts.signing.verifier import BundleVerifier
from artifacts.stores.testing import refused
from artifacts.supply.attestations import Kind, attachment_of, attest, attestations, put_attachment, read_attestation
from artifacts.supply.contents import BENTO_PATH, read_contents
from artifacts.supply.describing import describe_image
from artifacts.supply.testing import Described, layer_of, make_image, put_image
from artifacts.testing import FILES
from core.clock import ManualClock
from core.errors import ErrorCode, SignatureError

FOREIGN = "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip"


@pytest.fixture
def described(tmp_path: Path) -> Described:
    return make_image(tmp_path / "layout")


def layers_of(described: Described) -> list[bytes]:
    """The image's layers, uncompressed."""
    manifest = described.layout.manifest(described.image)
    return [gzip.decompress(described.layout.read_blob(layer)) for layer in manifest.layers]


def members(*entries: tuple[str, bytes, str | bytes]) -> bytes:
    """A layer of (path, type, content of a file or target of a link)."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, kind, what in entries:
            info = tarfile.TarInfo(path)
            info.type = kind
            if isinstance(what, bytes):
                info.size = len(what)
            else:
                info.linkname = what
            tar.addfile(info, io.BytesIO(what) if isinstance(what, bytes) else None)
    return data.getvalue()


def put_over(described: Described, layer: bytes) -> None:
    """Puts a layer upon the image, and has all of it described and signed with the right key."""
    described.image = put_image(described.layout, [*layers_of(described), layer])
    describe_image(described.layout, described.image, described.making, described.signer)


EVIL = f"{BENTO_PATH}/src/sitecustomize.py"


@pytest.mark.parametrize(
    "entry",
    [
        (EVIL, b"2", "/opt/evil.py"),
        (EVIL, b"1", "opt/evil.py"),
        (EVIL, b"3", ""),
        (EVIL, b"6", ""),
        (f"{BENTO_PATH}/bentoml", b"2", "/opt"),
        (f"/{EVIL}", b"0", b"import os"),
    ],
    ids=["link", "hard link", "device", "pipe", "link to a folder", "absolute"],
)
def test_nothing_that_is_not_listed_lies_in_the_bento(described: Described, entry: tuple[str, bytes, str]) -> None:
    """Also what is no file: Python would import what a link leads to."""
    put_over(described, members(("opt/evil.py", b"0", b"import os"), entry))
    with refused(ErrorCode.IMAGE_CHAIN, "not listed"):
        described.verify()


@pytest.mark.parametrize(
    "entries",
    [
        [("opt/x", b"2", f"/{BENTO_PATH}/src"), ("opt/x/sitecustomize.py", b"0", b"import os")],
        [("home/./bentoml/bento/src/sitecustomize.py", b"0", b"import os")],
        [("opt/../home/bentoml/bento/src/sitecustomize.py", b"0", b"import os")],
        [("home//bentoml/bento/src/sitecustomize.py", b"0", b"import os")],
        [(EVIL, b"0", b"import os"), (f"{BENTO_PATH}/src/.wh.sitecustomize.py", b"0", b"")],
    ],
    ids=["through a link", "a dot", "upwards", "two slashes", "brought and removed"],
)
def test_another_way_into_the_bento_is_refused(described: Described, entries: list[tuple[str, bytes, str]]) -> None:
    """What podman would unpack into the Bento's folder, and a naive reader would see elsewhere or not at all."""
    with refused(ErrorCode.MANIFEST_INVALID, "a layer"):
        put_over(described, members(*entries))


def test_a_layer_that_empties_a_folder_keeps_what_it_brings(described: Described) -> None:
    """The note removes what lies below only, wherever in the layer it stands: the file before it is there, and not listed."""
    folder = f"{BENTO_PATH}/bentoml"
    put_over(described, members((f"{folder}/__init__.py", b"0", b"import os"), (f"{folder}/.wh..wh..opq", b"0", b"")))
    with refused(ErrorCode.IMAGE_CHAIN, "not listed"):
        described.verify()


def test_of_two_files_of_one_name_the_last_counts(described: Described) -> None:
    """As for podman: a good first one hides nothing."""
    good = read_contents(described.layout, described.layout.manifest(described.image)).small["src/model/manifest.json"]
    path = f"{BENTO_PATH}/src/model/manifest.json"
    put_over(described, members((path, b"0", good), (path, b"0", b"{}")))
    with refused(ErrorCode.IMAGE_CHAIN, "manifest.json"):
        described.verify()


def forged(described: Described, blob: bytes, *, media: str = LAYER_TAR_GZIP, plain: bytes) -> ImageManifest:
    """A manifest of one layer, with a configuration that says what it unpacks to."""
    layout = described.layout
    config = {"rootfs": {"type": "layers", "diff_ids": [digest_bytes(plain)]}}
    return ImageManifest(
        config=layout.put_bytes(json.dumps(config).encode(), media_type=IMAGE_CONFIG),
        layers=(layout.put_bytes(blob, media_type=media),),
    )


TAR = layer_of({"a": b"1"})


@pytest.mark.parametrize(
    ("blob", "media"),
    [
        (gzip.compress(TAR, mtime=0)[:10] + b"\xff" * 40, LAYER_TAR_GZIP),
        (gzip.compress(TAR, mtime=0) + b"trailing", LAYER_TAR_GZIP),
        (b"\x1f\x8b\x08" + TAR[3:], LAYER_TAR),
        (layer_of({"BZh91AY": b"1"}), LAYER_TAR),
        (gzip.compress(TAR), FOREIGN),
        (TAR, "application/vnd.oci.image.layer.nondistributable.v1.tar"),
    ],
    ids=["broken", "trailing bytes", "gzip as a tar", "bzip2 as a tar", "foreign", "not to be distributed"],
)
def test_a_layer_that_others_unpack_otherwise_is_refused(described: Described, blob: bytes, media: str) -> None:
    """podman looks for the compression in the first bytes, whatever the media type; foreign layers come from elsewhere."""
    with refused(ErrorCode.MANIFEST_INVALID):
        read_contents(described.layout, forged(described, blob, media=media, plain=TAR))


def test_several_parts_of_gzip_are_one_layer(described: Described) -> None:
    """As everywhere: what is hashed and read is all of them."""
    parts = gzip.compress(TAR[:700]) + gzip.compress(TAR[700:])
    assert read_contents(described.layout, forged(described, parts, plain=TAR)).bento == {}
    with refused(ErrorCode.DIGEST_MISMATCH):
        read_contents(described.layout, forged(described, gzip.compress(TAR) + gzip.compress(bytes(512)), plain=TAR))


def test_descriptions_of_packages_are_bounded_together(described: Described, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many that are each small enough: memory has a limit."""
    monkeypatch.setattr("artifacts.supply.contents.MAX_KEPT_BYTES", 1 << 16)
    many = layer_of({f"usr/{number}.dist-info/METADATA": bytes(1 << 12) for number in range(32)})
    with refused(ErrorCode.MANIFEST_INVALID, "descriptions"):
        read_contents(described.layout, forged(described, gzip.compress(many), plain=many))


REVOKED: dict[str, Callable[[Described], str]] = {
    "image": lambda described: described.image.digest,
    "layer": lambda described: described.layout.manifest(described.image).layers[0].digest,
    "configuration": lambda described: described.layout.manifest(described.image).config.digest,
    "base image": lambda described: described.making.base,
    "bento": lambda described: described.bento.digest,
    "file": lambda described: digest_bytes(FILES["model.onnx"]),
}


@pytest.mark.parametrize("part", REVOKED)
def test_what_was_revoked_is_refused(described: Described, part: str) -> None:
    """Whatever of the image it is, by its digest: SIGN_009."""
    described.policy = replace(described.policy, revoked_digests=frozenset({REVOKED[part](described)}))
    with refused(ErrorCode.REVOKED):
        described.verify()


def test_a_statement_of_one_kind_is_none_of_another(described: Described) -> None:
    """Nor is the signature of a model one of an image; the annotation that tells kinds apart is not believed."""
    image, layout = described.image, described.layout
    for entry in layout.index().manifests:
        if layout.manifest(entry).subject is not None:
            layout.remove(entry.digest)
    sbom = attest(image.digest, Kind.SBOM, {}, described.signer)
    for false in (sbom, described.making.bento.signature, described.making.models[0].signature):
        put_attachment(layout, image, attachment_of(Kind.SIGNATURE, false))
    assert len(list(attestations(layout, image.digest, Kind.SIGNATURE))) == 3
    with refused(ErrorCode.SIGNATURE_INVALID):
        described.verify()


@pytest.mark.parametrize(
    "subject",
    [
        [{"name": "", "digest": {"sha256": "{hex}"}}, {"name": "", "digest": {"sha256": "0" * 64}}],
        [{"name": "", "digest": {"sha256": "{hex}", "sha512": "0" * 128}}],
        [{"name": "", "digest": {"sha256": "{HEX}"}}],
        {"name": "", "digest": {"sha256": "{hex}"}},
        [],
    ],
    ids=["two subjects", "two digests", "upper case", "no list", "none"],
)
def test_a_statement_is_about_the_image_alone(described: Described, subject: object) -> None:
    """Whatever else a signed statement may be about, it is not a statement about this image."""
    digest = described.image.digest.removeprefix("sha256:")
    written = json.dumps(subject).replace("{hex}", digest).replace("{HEX}", digest.upper())
    payload = {"_type": "https://in-toto.io/Statement/v1", "predicateType": Kind.SIGNATURE, "predicate": {}}
    data = seal(json.dumps({**payload, "subject": json.loads(written)}).encode(), described.signer)
    verifier = BundleVerifier(described.policy, ManualClock())
    with refused(ErrorCode.SIGNATURE_INVALID, "subject"):
        read_attestation(data, Kind.SIGNATURE, described.image.digest, verifier)


def test_a_name_at_another_manifest_is_not_overlooked(described: Described) -> None:
    """``podman run oci:FOLDER:image`` takes what the name stands at: then that, or neither, is verified."""
    layout = described.layout
    layout.remove(described.image.digest)
    layout.add(described.image)
    assert image_in(layout).digest == described.image.digest
    evil = put_image(layout, [TAR])
    layout.remove(evil.digest)
    layout.add(replace(evil, artifact_type="application/vnd.harmless", annotations={REF_NAME: "image"}), tag="image")
    with refused(ErrorCode.INVALID_FIELD, "image"):
        image_in(layout)
    described.image = image_in(layout, "image")
    with refused(ErrorCode.SIGNATURE_MISSING):
        described.verify()


def test_an_index_is_not_what_was_signed(described: Described) -> None:
    """A signed image in an index says nothing of the index, nor of the image beside it."""
    layout = described.layout
    other = put_image(layout, [TAR])
    index = layout.put_manifest(ImageIndex(manifests=(described.image, other)))
    for image in (index, other):
        described.image = image
        with pytest.raises(SignatureError, match="SIGN_0(01|10)"):
            described.verify()


@pytest.mark.parametrize("change", [{"size": 1}, {"media_type": LAYER_TAR}])
def test_an_entry_of_the_index_is_not_believed(described: Described, change: dict[str, Any]) -> None:
    """The right digest with another size or type."""
    described.image = replace(described.image, **change)
    with pytest.raises(SignatureError, match="SIGN_0(04|10)"):
        described.verify()


def test_layouts_of_files_that_are_none(described: Described) -> None:
    """A blob that is a pipe, a folder or a link to the real one is not waited for, nor followed."""
    path = described.blob(described.layout.manifest(described.image).layers[0])
    real = path.with_suffix(".real")
    path.rename(real)
    for make in (os.mkfifo, os.mkdir, lambda place: os.symlink(real, place)):
        make(path)
        with refused(ErrorCode.PATH_UNSAFE):
            described.verify()
        (path.unlink if path.is_symlink() or not path.is_dir() else path.rmdir)()
    os.link(real, path)
    assert described.verify().image == described.image.digest
