# SPDX-License-Identifier: Apache-2.0
"""One layer: the same entries, the same bytes."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from artifacts.oci.layout import Layout
from artifacts.stores.testing import refused
from core.errors import ErrorCode
from registry_api.images.builders.layer import Entry, tree, write_layer


def _tar(layout: Layout, entries: list[Entry]) -> tarfile.TarFile:
    layer = write_layer(layout, "code", entries)
    with layout.open_blob(layer.blob) as file:
        packed = file.read()
    plain = gzip.decompress(packed)
    assert (digest_bytes(plain), len(plain)) == (layer.diff_id, layer.size)
    assert packed[4:8] == bytes(4)  # gzip's time
    return tarfile.open(fileobj=io.BytesIO(plain))


def test_a_layer_has_every_folder_once_and_nothing_of_this_machine(tmp_path: Path) -> None:
    """Folders on the way are there, before what they hold; owner, group and time are zero; modes are two."""
    script = tmp_path / "run"
    script.write_bytes(b"#!")
    script.chmod(0o4711)
    entries = [
        Entry(path="b/c/run", content=script),
        Entry(path="b/a", content=b"text"),
        Entry(path="b/link", target="/etc"),
        Entry(path="tmp", mode=0o1777),
    ]
    with _tar(Layout.create(tmp_path / "layout"), entries) as tar:
        found = [(member.name, oct(member.mode)) for member in tar]
        assert found == [
            ("b", "0o755"),
            ("b/a", "0o644"),
            ("b/c", "0o755"),
            ("b/c/run", "0o755"),
            ("b/link", "0o777"),
            ("tmp", "0o1777"),
        ]
        assert {(member.uid, member.gid, member.mtime, member.uname) for member in tar} == {(0, 0, 0, "")}
        assert tar.getmember("b/link").linkname == "/etc"


def test_a_changed_file_is_refused(tmp_path: Path) -> None:
    """A file that is not the verified one any more gives no layer: SIGN_004."""
    layout = Layout.create(tmp_path / "layout")
    path = tmp_path / "file"
    path.write_bytes(b"changed")
    with refused(ErrorCode.DIGEST_MISMATCH, "model.onnx"):
        write_layer(layout, "model", [Entry(path="model.onnx", content=path, digest=digest_bytes(b"verified"))])
    assert list((layout.root / "blobs" / "sha256").iterdir()) == []


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    """A link in the place of a verified file is an error of the system, not another file's bytes."""
    (tmp_path / "link").symlink_to("/etc/passwd")
    with pytest.raises(OSError, match="symbolic links"):
        write_layer(Layout.create(tmp_path / "layout"), "x", [Entry(path="a", content=tmp_path / "link")])


def test_a_tree_is_everything_below(tmp_path: Path) -> None:
    """Files, empty folders and links, also links to folders, none of them followed."""
    (tmp_path / "a" / "empty").mkdir(parents=True)
    (tmp_path / "a" / "file").write_bytes(b"x")
    os.symlink("a", tmp_path / "link")
    found = {entry.path: (entry.content, entry.target) for entry in tree(tmp_path, "opt")}
    assert found == {
        "opt/a": (None, None),
        "opt/a/empty": (None, None),
        "opt/a/file": (tmp_path / "a" / "file", None),
        "opt/link": (None, "a"),
    }
