# SPDX-License-Identifier: Apache-2.0
"""Downloads a signed bundle so that it appears complete or not at all.

Everything is written into a hidden directory beside the target, each file is hashed while it arrives, and one rename
makes the result visible. A failure removes the hidden directory; a crash leaves it behind under a name that says what
it is.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from furoshiki.api import Api
from furoshiki.bundle.manifest import Manifest, parse_manifest
from furoshiki.bundle.paths import MANIFEST_NAME, SIGNATURE_NAME
from furoshiki.bundle.refusals import Reason, refuse
from furoshiki.errors import LOCAL_FILE, InvalidRequest
from furoshiki.progress import OnProgress, Progress
from furoshiki.steps import Request, Steps, path, work

DOCUMENT_LIMIT: Final = 32 * 1024 * 1024  # bytes of a manifest or signature
READ_TIMEOUT: Final = 120.0  # seconds of silence tolerated inside a file
_PIECE: Final = 1024 * 1024  # bytes hashed at a time


class FileSink:
    """Writes a reply's body to a file, hashing it on the way.

    Args:
        file: A file open for writing; empty, unless :meth:`recover` is called.
        size: Bytes expected.
        digest: Digest expected.
        name: What to call it in a refusal.
        on_bytes: Told the bytes that are there so far.
    """

    def __init__(
        self, file: BinaryIO, *, size: int, digest: str, name: str, on_bytes: Callable[[int], None] | None = None
    ) -> None:
        self._file = file
        self._size = size
        self._digest = digest
        self._name = name
        self._on_bytes = on_bytes
        self._hash = hashlib.sha256()
        self._seen = 0
        self._kept = self._hash.copy()
        self._start = 0

    def recover(self) -> int:
        """Takes what the file holds for the beginning; how many bytes that is. Blocks while they are hashed."""
        while piece := self._file.read(_PIECE):
            self._hash.update(piece)
            self._seen += len(piece)
        self._start, self._kept = self._seen, self._hash.copy()
        return self._start

    def restart(self) -> None:
        """Begins anew, after what was recovered."""
        self._file.seek(self._start)
        self._file.truncate()
        self._hash, self._seen = self._kept.copy(), self._start

    def write(self, chunk: bytes) -> None:
        """Takes the next bytes.

        Raises:
            SignatureRefused: ``SIGN_004`` above the expected size.
        """
        self._seen += len(chunk)
        if self._seen > self._size:
            raise self._mismatch("more than")
        self._hash.update(chunk)
        self._file.write(chunk)
        if self._on_bytes is not None:
            self._on_bytes(self._seen)

    def check(self) -> None:
        """Checks what arrived.

        Raises:
            SignatureRefused: ``SIGN_004`` if it is not what was announced.
        """
        if self._seen != self._size or self._digest != "sha256:" + self._hash.hexdigest():
            raise self._mismatch("something else than")

    def _mismatch(self, what: str) -> Exception:
        message = f"The registry sent {what} the {self._size} bytes of {self._digest} for {self._name!r}."
        return refuse(Reason.DIGEST_MISMATCH, message)


def download_bundle(api: Api, root: str, digest: str, directory: Path, progress: OnProgress | None) -> Steps[Manifest]:
    """Downloads the bundle below the API path ``root`` into ``directory``.

    Args:
        api: Whose client to use.
        root: API path that has ``/manifest``, ``/signature`` and ``/files/…`` below it.
        digest: The manifest's digest, as the registry announced it.
        directory: Where to.
        progress: Told the bytes so far.
    """
    manifest_bytes = (yield from api.send(_document(f"{root}/manifest"))).body
    if "sha256:" + hashlib.sha256(manifest_bytes).hexdigest() != digest:
        raise refuse(Reason.DIGEST_MISMATCH, f"The registry sent a manifest that does not have the digest {digest}.")
    manifest = parse_manifest(manifest_bytes)
    signature = (yield from api.send(_document(f"{root}/signature"))).body
    with _appearing(directory) as staging:
        (staging / MANIFEST_NAME).write_bytes(manifest_bytes)
        (staging / SIGNATURE_NAME).write_bytes(signature)
        done = 0
        for file in manifest.files:
            tell = _teller(progress, file.path, done, manifest.size)
            with _created(staging, file.path) as target:
                sink = FileSink(target, size=file.size, digest=file.digest, name=file.path, on_bytes=tell)
                yield from api.send(
                    Request(
                        method="GET",
                        path=f"{root}/files{path(*file.path.split('/'))}",
                        sink=sink,
                        read_timeout=READ_TIMEOUT,
                    )
                )
                sink.check()
                yield from work(lambda opened=target: flush(opened))  # type: ignore[misc]
            done += file.size
    return manifest


def _document(path: str) -> Request:
    return Request(method="GET", path=path, limit=DOCUMENT_LIMIT)


def _teller(progress: OnProgress | None, name: str, before: int, total: int) -> Callable[[int], None] | None:
    if progress is None:
        return None
    return lambda seen: progress(Progress(phase="download", path=name, done=before + seen, total=total))


def flush(file: BinaryIO) -> None:
    """Makes what was written durable."""
    file.flush()
    os.fsync(file.fileno())


@contextmanager
def _created(staging: Path, name: str) -> Iterator[BinaryIO]:
    target = staging / name
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        yield file


@contextmanager
def _appearing(directory: Path) -> Iterator[Path]:
    """A hidden directory that becomes ``directory`` when the block succeeds."""
    try:
        if directory.exists() and (not directory.is_dir() or any(directory.iterdir())):
            raise InvalidRequest(LOCAL_FILE, f"{str(directory)!r} is in the way; expected no or an empty directory.")
        directory.parent.mkdir(parents=True, exist_ok=True)
        staging = Path(tempfile.mkdtemp(prefix=f".{directory.name}.partial-", dir=directory.parent))
    except OSError as error:
        raise _unwritable(directory, error) from None
    try:
        yield staging
        if directory.exists():
            directory.rmdir()
        staging.rename(directory)
    except OSError as error:
        raise _unwritable(directory, error) from None
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _unwritable(directory: Path, error: OSError) -> InvalidRequest:
    return InvalidRequest(LOCAL_FILE, f"Cannot write {str(directory)!r}: {error.strerror or error}.")
