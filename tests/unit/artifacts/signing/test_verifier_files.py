# SPDX-License-Identifier: Apache-2.0
"""The verifier on the files of a bundle: each that is changed, missing, too much or a link has its own code and is named."""

from __future__ import annotations

import io
from pathlib import Path
from typing import BinaryIO

import pytest

from artifacts.digest import digest_bytes
from artifacts.manifest import MANIFEST_NAME, SIGNATURE_NAME
from artifacts.source import DirectorySource, MemorySource
from artifacts.testing import FILES, make_bundle, refused
from core.errors import ErrorCode

SAME_SIZE = FILES["model.onnx"][::-1]


def test_missing_manifest() -> None:
    """SIGN_006: a bundle without manifest.json."""
    bundle = make_bundle()
    del bundle.files[MANIFEST_NAME]
    with refused(ErrorCode.FILE_MISSING, MANIFEST_NAME):
        bundle.verify()


@pytest.mark.parametrize(
    ("data", "named"),
    [(SAME_SIZE, digest_bytes(SAME_SIZE)), (b"", "got 0 bytes"), (FILES["model.onnx"] + b"!", "more than 128 bytes")],
    ids=["digest", "shorter", "longer"],
)
def test_changed_file(data: bytes, named: str) -> None:
    """SIGN_004: a file of another digest or size, named with what was found and expected."""
    bundle = make_bundle()
    bundle.files["model.onnx"] = data
    with refused(ErrorCode.DIGEST_MISMATCH, "model.onnx", named):
        bundle.verify()


def test_endless_file_is_read_one_byte_too_far() -> None:
    """A file larger than its signed size is read one byte beyond that size, no more."""
    bundle = make_bundle()
    bundle.files["model.onnx"] += bytes(1 << 20)

    streams: dict[str, BinaryIO] = {}

    class Plain(MemorySource):
        def open(self, path: str) -> BinaryIO:
            return streams.setdefault(path, Unclosing(self._files[path]))

    class Unclosing(io.BytesIO):
        def close(self) -> None:
            """Stays open, so that the test can ask how far it was read."""

    with refused(ErrorCode.DIGEST_MISMATCH):
        bundle.verify(Plain(bundle.files))
    assert streams["model.onnx"].tell() == len(FILES["model.onnx"]) + 1


@pytest.mark.parametrize("path", ["extra.bin", "assets/extra", "model.sig.bak", "../up", "MODEL.ONNX", "\ud800"])
def test_extra_file(path: str) -> None:
    """SIGN_005: any file the manifest does not list."""
    bundle = make_bundle()
    bundle.files[path] = b""
    with refused(ErrorCode.FILE_UNEXPECTED, ascii(path)):
        bundle.verify()


def test_missing_file() -> None:
    """SIGN_006: a listed file that is not there."""
    bundle = make_bundle()
    del bundle.files["assets/labels.txt"]
    with refused(ErrorCode.FILE_MISSING, "assets/labels.txt"):
        bundle.verify()


def test_symlink_instead_of_file(tmp_path: Path) -> None:
    """SIGN_007: a listed file that is a link, even to the right bytes."""
    bundle = make_bundle()
    folder = bundle.write(tmp_path / "bundle")
    (folder / "model.onnx").rename(tmp_path / "real")
    (folder / "model.onnx").symlink_to(tmp_path / "real")
    with refused(ErrorCode.PATH_UNSAFE, "model.onnx"):
        bundle.verify(DirectorySource(folder))


@pytest.mark.parametrize("name", [MANIFEST_NAME, SIGNATURE_NAME])
def test_symlink_instead_of_manifest_or_signature(tmp_path: Path, name: str) -> None:
    """SIGN_007: the manifest or the signature is a link."""
    bundle = make_bundle()
    folder = bundle.write(tmp_path / "bundle")
    (folder / name).rename(tmp_path / "real")
    (folder / name).symlink_to(tmp_path / "real")
    with refused(ErrorCode.PATH_UNSAFE, name):
        bundle.verify(DirectorySource(folder))
