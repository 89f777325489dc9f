# SPDX-License-Identifier: Apache-2.0
"""What one pod printed, on disk, as the supervisor of a process writes it: segments named by the offset of their first byte.

    <deployments>/<deployment id>/<pod>/logs/000000000000.log    the lines
    <deployments>/<deployment id>/<pod>/read.json                how far the pod's log was read, and how much of it is here

Only one worker at a time writes: who holds the lock of the file. A worker that is killed leaves at most bytes that the file
does not know of: the next one cuts them off, and reads the same lines again.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TextIO

import msgspec

from registry_api.deployments.clusters.lines import BEGINNING, Place
from registry_api.deployments.supervisor import KEPT, SEGMENT_BYTES, SUFFIX
from registry_api.deployments.target import LOGS

_READ: Final = "read.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a pod's log was read."""

    place: Place = BEGINNING
    restarts: int = 0  # of the container whose log is read
    size: int = 0  # bytes that were ever written here


class PodLog:
    """The log of one pod; to be had from :func:`held`.

    Attributes:
        progress: How far it was read.
    """

    def __init__(self, folder: Path, file: TextIO, *, segment_bytes: int, kept: int) -> None:
        self._segments = folder / LOGS
        self._file = file
        self._segment_bytes = segment_bytes
        self._kept = kept
        self.progress = _read(file)
        self._cut()

    def add(self, lines: bytes, place: Place, *, restarts: int) -> None:
        """Appends lines, and keeps how far they are."""
        size = self.progress.size
        left = lines
        while left:
            path, room = self._segment(size)
            with path.open("ab") as file:
                file.write(left[:room])
            size += len(left[:room])
            left = left[room:]
        self.progress = Progress(place=place, restarts=restarts, size=size)
        self._file.seek(0)
        self._file.truncate()
        self._file.write(msgspec.json.encode(self.progress).decode())
        self._file.flush()

    def _segment(self, size: int) -> tuple[Path, int]:
        """Where byte ``size`` goes, and how many more fit there."""
        self._segments.mkdir(exist_ok=True)
        paths = self._paths()
        if paths and size < int(paths[-1].stem) + self._segment_bytes:
            return paths[-1], int(paths[-1].stem) + self._segment_bytes - size
        for old in paths[: len(paths) - self._kept + 1]:
            old.unlink()
        return self._segments / f"{size:012d}{SUFFIX}", self._segment_bytes

    def _cut(self) -> None:
        """Removes what was written and is not known of."""
        for path in reversed(self._paths()):
            known = self.progress.size - int(path.stem)
            if known > 0:
                with path.open("rb+") as file:
                    file.truncate(min(known, path.stat().st_size))
                return
            path.unlink()

    def _paths(self) -> list[Path]:
        return sorted(self._segments.glob(f"*{SUFFIX}"))


@contextmanager
def held(folder: Path, *, segment_bytes: int = SEGMENT_BYTES, kept: int = KEPT) -> Iterator[PodLog | None]:
    """The log in a pod's folder, while no other worker writes it; None if one does.

    Args:
        folder: The pod's; made if absent.
        segment_bytes: Size after which a new segment begins.
        kept: How many segments are kept.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / _READ).open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            log = None
        else:
            log = PodLog(folder, file, segment_bytes=segment_bytes, kept=kept)
        yield log


def _read(file: TextIO) -> Progress:
    file.seek(0)
    try:
        return msgspec.json.decode(file.read(), type=Progress)
    except msgspec.DecodeError:  # nothing was read yet, or a worker was killed just here: from the beginning
        return Progress()
