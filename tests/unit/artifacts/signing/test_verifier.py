# SPDX-License-Identifier: Apache-2.0
"""The verifier: what it gives back, what it reads and in which order, and what nobody can take from it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from artifacts.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, SIGNATURE_NAME
from artifacts.signing.bundle import MAX_SIGNATURE_BYTES
from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.signing.p256 import EcdsaP256Signer
from artifacts.signing.policy import Subject
from artifacts.signing.verifier import BundleVerifier
from artifacts.source import DirectorySource, MemorySource
from artifacts.testing import FILES, make_bundle, refused
from core.errors import ErrorCode, Unavailable


class RecordingSource(MemorySource):
    """A memory source that remembers what was opened, and whether it was listed."""

    def __init__(self, files: dict[str, bytes]) -> None:
        super().__init__(files)
        self.opened: list[str] = []
        self.listed = False

    def listing(self) -> Iterator[str]:
        self.listed = True
        return super().listing()

    def open(self, path: str) -> BinaryIO:
        self.opened.append(path)
        return super().open(path)


@pytest.mark.parametrize("signer", [Ed25519Signer.generate(), EcdsaP256Signer.generate()], ids=["ed25519", "p256"])
@pytest.mark.parametrize("kind", ["model", "bento"])
def test_good_bundle_is_verified(signer: Any, kind: str, tmp_path: Path) -> None:
    """A bundle of either algorithm and kind verifies, from memory and from a folder, and gives back its parts."""
    bundle = make_bundle(signer=signer, kind=kind, signature=None)
    for source in (MemorySource(bundle.files), DirectorySource(bundle.write(tmp_path))):
        verified = bundle.verify(source)
        assert verified.manifest == bundle.manifest
        assert verified.digest == bundle.manifest.digest
        assert verified.key_id == signer.key_id
        assert dict(verified.files) == dict(FILES)


def test_streamed_bundle_keeps_no_bytes() -> None:
    """Without retain every file is checked and none is returned."""
    bundle = make_bundle()
    assert bundle.verify(retain=False).files == {}
    bundle.files["model.onnx"] = FILES["model.onnx"][::-1]
    with refused(ErrorCode.DIGEST_MISMATCH, "model.onnx"):
        bundle.verify(retain=False)


def test_streaming_needs_constant_memory(tmp_path: Path) -> None:
    """Verifying 64 MiB without retain takes less than 8 MiB."""
    bundle = make_bundle({"big.bin": bytes(64 << 20)})
    folder = bundle.write(tmp_path)
    bundle.files.clear()
    tracemalloc.start()
    bundle.verify(DirectorySource(folder), retain=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_retaining_makes_no_second_copy(tmp_path: Path) -> None:
    """Retaining a file of 32 MiB takes little more than the file itself."""
    bundle = make_bundle({"big.bin": bytes(32 << 20)})
    folder = bundle.write(tmp_path)
    bundle.files.clear()
    tracemalloc.start()
    verified = bundle.verify(DirectorySource(folder))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(verified.files["big.bin"]) == 32 << 20
    assert peak < 40 << 20


def test_changes_after_verification_do_not_matter(tmp_path: Path) -> None:
    """The bytes returned are those that were hashed, whatever happens to the folder afterwards."""
    bundle = make_bundle()
    folder = bundle.write(tmp_path)
    verified = bundle.verify(DirectorySource(folder))
    (folder / "model.onnx").write_bytes(b"evil")
    assert verified.files["model.onnx"] == FILES["model.onnx"]


def test_each_file_is_opened_once() -> None:
    """Nothing is opened again after it was checked."""
    bundle = make_bundle()
    source = RecordingSource(bundle.files)
    bundle.verify(source)
    assert sorted(source.opened) == sorted(bundle.files)


def test_signature_comes_before_files() -> None:
    """With a bad signature nothing but manifest and signature is opened, and nothing is listed."""
    bundle = make_bundle()
    bundle.policy = replace(bundle.policy, keys=())
    source = RecordingSource(bundle.files)
    with refused(ErrorCode.SIGNER_UNTRUSTED):
        bundle.verify(source)
    assert (set(source.opened), source.listed) == ({MANIFEST_NAME, SIGNATURE_NAME}, False)


def test_any_version_and_variant() -> None:
    """What the caller leaves open is not compared."""
    bundle = make_bundle()
    asked = Subject(tenant="acme", model="digits")
    assert BundleVerifier(bundle.policy, bundle.clock).verify(MemorySource(bundle.files), subject=asked).key_id


@pytest.mark.parametrize(
    ("name", "size", "code"),
    [
        (MANIFEST_NAME, MAX_MANIFEST_BYTES + 1, ErrorCode.SIGNATURE_INVALID),
        (SIGNATURE_NAME, MAX_SIGNATURE_BYTES + 1, ErrorCode.SIGNATURE_INVALID),
    ],
)
def test_huge_manifest_or_signature(name: str, size: int, code: ErrorCode) -> None:
    """A manifest or signature beyond its limit is refused and never parsed."""
    bundle = make_bundle()
    bundle.files[name] = bytes(size)
    with refused(code, name):
        bundle.verify()


def test_verify_manifest_alone() -> None:
    """Manifest and signature verify without the files, by the same checks."""
    bundle = make_bundle()
    verifier = BundleVerifier(bundle.policy, bundle.clock)
    parts = bundle.files[MANIFEST_NAME], bundle.files[SIGNATURE_NAME]
    assert verifier.verify_manifest(*parts, subject=bundle.subject) == bundle.manifest
    with refused(ErrorCode.SUBJECT_MISMATCH):
        verifier.verify_manifest(*parts, subject=replace(bundle.subject, version=9))
    with refused(ErrorCode.SIGNATURE_INVALID):
        verifier.verify_manifest(parts[0], b"", subject=bundle.subject)


def test_unreadable_source_is_no_verdict() -> None:
    """If the bytes cannot be read at all, the answer is 'try again', not 'forged'."""
    bundle = make_bundle()

    class Failing(MemorySource):
        def open(self, path: str) -> BinaryIO:
            raise PermissionError(13, "Permission denied")

    with pytest.raises(Unavailable, match="Permission denied") as caught:
        bundle.verify(Failing(bundle.files))
    assert caught.value.code is ErrorCode.STORE_UNAVAILABLE


def test_verifier_cannot_be_weakened_by_inheritance() -> None:
    """Every check sits in one final class; only its four public methods check anything."""
    public = [name for name in vars(BundleVerifier) if not name.startswith("_")]
    assert public == ["verify", "verify_manifest", "verify_envelope", "refuse_revoked"]
    assert BundleVerifier.__final__  # type: ignore[attr-defined]
