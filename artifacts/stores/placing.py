# SPDX-License-Identifier: Apache-2.0
"""Parts of a plain blob in a local folder, written where they belong: joining them is one rename, and no copy.

    <folder>/whole                    the bytes at their places; the rest are holes
    <folder>/<first>-<after>.placed   empty: those bytes of ``whole`` are there. It counts only beside a ``whole``

The rules that keep a blob what was checked, for threads and for processes:

1.  Who writes a span holds a lock on just these bytes of the file (an open file description lock, fcntl(2)), and none of them
    is in a span that is there already. So bytes once marked never change.
2.  The mark is set while that lock is held. Who joins holds a lock on the whole file from before it is hashed until it has
    its final name: nobody writes then, and nobody can open it for writing under its final name.
3.  Names in the folder change only under a lock on the folder itself (flock(2)), which is held for moments. Who makes
    ``whole`` first removes marks that are left of another.
4.  All locks end with the process. Killed anywhere, marked bytes are there, and others are sent again.

Where a rule forbids a write or the disk knows no such locks, the caller keeps the part in a file of its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import struct
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from artifacts.digest import Digest
from artifacts.stores.local import LocalFiles, hash_file, sync_up
from artifacts.stores.spans import Span
from artifacts.stores.threads import PIECE_BYTES, finished, gathered, write_at

WHOLE: Final = "whole"
_PLACED: Final = re.compile(r"(\d{1,18})-(\d{1,18})\.placed")
_FLOCK: Final = struct.Struct("hhqqi4x")  # struct flock where off_t has 8 bytes
_ALL: Final = Span(start=0, end=0)  # as fcntl(2) says it: every byte, those after the end included
_FLAGS: Final = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC


def placed_span(name: str) -> Span | None:
    """The span that a mark of this name stands for; None if it is the name of something else."""
    found = _PLACED.fullmatch(name)
    return None if found is None else Span(start=int(found[1]), end=int(found[2]))


class PlacedParts:
    """Parts in place. ``folder`` in each method is that of one blob's parts, relative to the root.

    Args:
        files: The store's folder.
    """

    def __init__(self, files: LocalFiles) -> None:
        self._files = files
        self._root = files.root

    async def put(self, folder: str, span: Span, chunks: AsyncIterator[bytes]) -> bool:
        """Writes one part; False, and nothing read, if it must be kept elsewhere.

        What ``chunks`` raises passes through, and the part does not count. Nor does it if all parts were dropped meanwhile.
        """
        with contextlib.ExitStack() as opened:
            descriptor = await finished(self._begin, self._root / folder, span, opened)
            if descriptor is None:
                return False
            offset = span.start
            async for pieces in gathered(chunks):
                offset = await finished(write_at, descriptor, pieces, offset)
            await finished(self._mark, self._root / folder, descriptor, span)
        return True

    async def stream(self, folder: str, span: Span) -> AsyncIterator[bytes]:
        """The bytes of a part.

        Raises:
            FileNotFoundError: If it is not there.
            EOFError: If the file was cut.
        """
        with contextlib.ExitStack() as opened:
            descriptor = await finished(self._open_marked, self._root / folder, (span,), opened)
            for offset in range(span.start, span.end, PIECE_BYTES):
                length = min(PIECE_BYTES, span.end - offset)
                piece = await finished(os.pread, descriptor, length, offset)
                if len(piece) < length:
                    raise EOFError
                yield piece

    async def join(self, folder: str, spans: Sequence[Span], *, size: int, digest: Digest, key: str) -> Digest | None:
        """Makes parts the object ``key``, on the disk, if they hash to ``digest``.

        Returns:
            What they hash to: if that is not ``digest``, nothing was done. None if they cannot be joined in place.
        """
        with contextlib.ExitStack() as opened:
            try:
                descriptor = await finished(self._open_marked, self._root / folder, spans, opened)
            except FileNotFoundError:
                return None
            if os.fstat(descriptor).st_size != size or not _locked(descriptor, _ALL):
                return None
            found = await finished(_flush_and_hash, descriptor)
            if found == digest and not await finished(self._rename, self._root / folder, descriptor, key):
                return None
            return found

    async def drop(self, folder: str) -> None:
        """Removes all parts; does nothing if there are none."""
        await finished(self._drop, self._root / folder)

    async def sweep(self, folder: str, before: datetime) -> int:
        """Removes all parts if none was written since a moment; returns how many."""
        return await finished(self._sweep, self._root / folder, before)

    def _begin(self, folder: Path, span: Span, opened: contextlib.ExitStack) -> int | None:
        """The file, the span locked in it, on the disk from here on; None if the span must not be written."""
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            if not (folder / WHOLE).exists():
                _remove_marks(folder)
            descriptor = os.open(folder / WHOLE, _FLAGS | os.O_CREAT, 0o600)
            opened.callback(os.close, descriptor)
            free = _locked(descriptor, span) and not any(span.overlaps(each) for each in _marked(folder))
            return descriptor if free else None

    def _mark(self, folder: Path, descriptor: int, span: Span) -> None:
        with _alone(folder):
            if _is_at(folder / WHOLE, descriptor):
                (folder / f"{span.start}-{span.end}.placed").touch(mode=0o600)

    def _open_marked(self, folder: Path, spans: Sequence[Span], opened: contextlib.ExitStack) -> int:
        with _alone(folder):
            descriptor = os.open(folder / WHOLE, _FLAGS)
            opened.callback(os.close, descriptor)
            if not set(spans) <= set(_marked(folder)):
                raise FileNotFoundError(folder)
            return descriptor

    def _rename(self, folder: Path, descriptor: int, key: str) -> bool:
        final = self._root / key
        final.parent.mkdir(parents=True, exist_ok=True)
        with _alone(folder):
            if not _is_at(folder / WHOLE, descriptor):
                return False
            (folder / WHOLE).replace(final)
            _remove_marks(folder)
        sync_up(self._root, final.parent)
        self._files.remember(key, descriptor)
        return True

    def _drop(self, folder: Path) -> None:
        with contextlib.suppress(FileNotFoundError), _alone(folder):
            (folder / WHOLE).unlink(missing_ok=True)
            _remove_marks(folder)

    def _sweep(self, folder: Path, before: datetime) -> int:
        with _alone(folder):
            with contextlib.suppress(FileNotFoundError):
                if datetime.fromtimestamp((folder / WHOLE).stat().st_mtime, UTC) >= before:
                    return 0
            (folder / WHOLE).unlink(missing_ok=True)
            return _remove_marks(folder)


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keeps other threads and processes from changing names in the folder meanwhile."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _locked(descriptor: int, span: Span) -> bool:
    """Locks bytes of an open file until it is closed; False if they are locked, or the disk knows no such locks."""
    wanted = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, span.start, span.size, 0)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, wanted)
    except OSError:
        return False
    return True


def _is_at(path: Path, descriptor: int) -> bool:
    try:
        return path.stat().st_ino == os.fstat(descriptor).st_ino
    except FileNotFoundError:
        return False


def _marked(folder: Path) -> Iterator[Span]:
    for name in os.listdir(folder):
        if (span := placed_span(name)) is not None:
            yield span


def _flush_and_hash(descriptor: int) -> Digest:
    """Both at once: the disk is busy with one, a processor with the other."""
    with ThreadPoolExecutor(max_workers=1) as beside:
        flushing = beside.submit(os.fsync, descriptor)
        found = hash_file(descriptor)
        flushing.result()
    return found


def _remove_marks(folder: Path) -> int:
    names = [name for name in os.listdir(folder) if placed_span(name) is not None]
    for name in names:
        (folder / name).unlink(missing_ok=True)
    return len(names)
