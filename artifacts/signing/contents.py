# SPDX-License-Identifier: Apache-2.0
"""Comparing what a bundle holds with what its verified manifest lists. Only :mod:`artifacts.signing.verifier` calls this.

A file is opened once and read once, and what is returned is what was hashed. No more than one byte beyond the signed size
is ever read, so a file that grows without end costs nothing.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing
from typing import BinaryIO, Final, Protocol

from artifacts.digest import StreamingDigest
from artifacts.manifest import MANIFEST_NAME, SIGNATURE_NAME, FileEntry, Manifest
from artifacts.paths import missing_file, unexpected_file
from core.errors import ErrorCode, SignatureError

CHUNK_BYTES: Final = 1024 * 1024


class BundleSource(Protocol):
    """Bytes by path, from somewhere nobody trusts yet. Implementations are in :mod:`artifacts.source`."""

    def listing(self) -> Iterator[str]:
        """Every file's path, ``manifest.json`` and ``model.sig`` included, in any order, lazily.

        Raises:
            SignatureError: ``SIGN_007`` at anything that is neither a plain file nor a folder.
            OSError: It cannot be read.
        """
        ...

    def open(self, path: str) -> BinaryIO:
        """Opens one file for reading; the caller closes it.

        Raises:
            SignatureError: ``SIGN_006`` if there is none, ``SIGN_007`` if it is not a plain file reached by plain folders.
            OSError: It cannot be read.
        """
        ...


def check_listing(source: BundleSource, manifest: Manifest) -> None:
    """Checks that ``source`` holds the manifest, the signature, every listed file and nothing else.

    Raises:
        SignatureError: ``SIGN_005`` at the first file too many, ``SIGN_006`` for a missing one.
    """
    awaited = {MANIFEST_NAME, SIGNATURE_NAME} | {entry.path for entry in manifest.files}
    with closing(_closable(source.listing())) as paths:
        for path in paths:
            if path not in awaited:
                raise unexpected_file(path)
            awaited.remove(path)
    if awaited:
        raise missing_file(min(awaited))


def read_file(source: BundleSource, entry: FileEntry, *, retain: bool) -> bytes:
    """Reads and checks one file; returns its bytes, or nothing if they are not to be retained.

    Raises:
        SignatureError: ``SIGN_004`` if size or digest differ, and whatever :meth:`BundleSource.open` raises.
    """
    digest = StreamingDigest()
    kept = []
    step = entry.size + 1 if retain else CHUNK_BYTES  # one read, and so one copy, of what is kept
    with source.open(entry.path) as stream:
        for chunk in _pieces(stream, entry.size + 1, step):
            digest.update(chunk)
            if retain:
                kept.append(chunk)
    if digest.size > entry.size:
        raise _mismatch(entry, f"more than {entry.size} bytes", f"{entry.size} bytes")
    if digest.size < entry.size:
        raise _mismatch(entry, f"{digest.size} bytes", f"{entry.size} bytes")
    if digest.value != entry.digest:
        raise _mismatch(entry, digest.value, entry.digest)
    return b"".join(kept)


def read_at_most(source: BundleSource, path: str, limit: int) -> bytes:
    """Reads up to one byte more than ``limit``: whoever parses the bytes sees the excess and refuses them."""
    with source.open(path) as stream:
        return b"".join(_pieces(stream, limit + 1, CHUNK_BYTES))


def _pieces(stream: BinaryIO, most: int, step: int) -> Iterator[bytes]:
    while chunk := stream.read(min(step, most)):
        most -= len(chunk)
        yield chunk


def _closable(paths: Iterator[str]) -> Generator[str, None, None]:
    yield from paths


def _mismatch(entry: FileEntry, got: str, expected: str) -> SignatureError:
    return SignatureError(
        ErrorCode.DIGEST_MISMATCH,
        f"File {entry.path!r} is not the signed one: got {got}; expected {expected}.",
        details={"path": entry.path, "got": got, "expected": expected},
    )
