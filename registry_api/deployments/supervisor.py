# SPDX-License-Identifier: Apache-2.0
"""Runs one command and keeps its output in a bounded log: ``python supervisor.py LOGS -- COMMAND…``.

The parent of every deployed process. It outlives the worker that started it, forwards the first SIGTERM or SIGINT (a second
one would make servers drop what they still answer), and ends with the command's status. Output goes to files named by the
offset of their first byte (``000000000000.log``); when one is full the next begins and the oldest is removed, so offsets
never change their meaning and the folder never exceeds ``KEPT * SEGMENT_BYTES``. Standard library only: it starts in
milliseconds and stays small.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

SEGMENT_BYTES: Final = 2 << 20
KEPT: Final = 4
SUFFIX: Final = ".log"
READ_BYTES: Final = 1 << 16


class SegmentedLog:
    """An append-only log of bounded size.

    Args:
        folder: Holds the segments; created if absent.
        segment_bytes: Size after which a new segment begins.
        kept: How many segments are kept.
    """

    def __init__(self, folder: Path, *, segment_bytes: int = SEGMENT_BYTES, kept: int = KEPT) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._segment_bytes = segment_bytes
        self._kept = kept
        self._offset = 0
        self._room = 0
        self._file: BinaryIO | None = None

    def write(self, data: bytes) -> None:
        """Appends ``data``; nothing is buffered."""
        while data:
            if self._file is None or self._room == 0:
                self._begin_segment()
            assert self._file is not None  # just begun
            written = self._file.write(data[: self._room])
            data = data[written:]
            self._offset += written
            self._room -= written

    def close(self) -> None:
        """Closes the current segment."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin_segment(self) -> None:
        self.close()
        name = f"{self._offset:012d}{SUFFIX}"
        self._file = (self._folder / name).open("wb", buffering=0)
        self._room = self._segment_bytes
        for old in sorted(self._folder.glob(f"*{SUFFIX}"))[: -self._kept]:
            old.unlink()


def supervise(folder: Path, argv: list[str]) -> int:
    """Runs ``argv`` and logs its output until it ends.

    Returns:
        The command's exit status; 128 + number for a signal.
    """
    log = SegmentedLog(folder)
    child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)  # noqa: S603
    told: list[int] = []

    def forward(received: int, _frame: object) -> None:
        if not told:
            told.append(received)
            child.send_signal(received)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, forward)
    assert child.stdout is not None  # PIPE was asked for
    while chunk := os.read(child.stdout.fileno(), READ_BYTES):
        with suppress(OSError):  # a full disk must cost the log, not the service
            log.write(chunk)
    log.close()
    status = child.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(supervise(Path(sys.argv[1]), sys.argv[3:]))
