# SPDX-License-Identifier: Apache-2.0
"""Who may use the CUDA device of this process: many that run, or one that captures.

"Within a process, only one capture may be underway at a time" and "no non-captured CUDA work may run in this process (on any
thread) while capture is underway" (https://docs.pytorch.org/docs/stable/notes/cuda.html, constraints of CUDA graphs). So all
models share one pair of turns. Pure: knows threads, not CUDA.

Law: while one holds :meth:`Turns.alone` nobody holds :meth:`Turns.shared`, nor another ``alone``. One that waits to be alone
is let in before those who come to share after it; no turn is taken inside another by the same thread.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager


class Turns:
    """A lock that many may share or one may hold alone."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sharing = 0
        self._alone = False
        self._waiting = 0  # to be alone

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Holds off captures while work is launched and until it has ended."""
        with self._changed:
            while self._alone or self._waiting:
                self._changed.wait()
            self._sharing += 1
        try:
            yield
        finally:
            with self._changed:
                self._sharing -= 1
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Holds off everything else."""
        with self._changed:
            self._waiting += 1
            try:
                while self._alone or self._sharing:
                    self._changed.wait()
            finally:
                self._waiting -= 1
            self._alone = True
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()
