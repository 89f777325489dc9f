# SPDX-License-Identifier: Apache-2.0
"""When a CUDA graph is worth capturing: for shapes that come again, and not for more shapes than memory is wanted for.

A captured graph replays all kernels of a model with one launch, for exactly the shapes it was captured with, and keeps their
memory. Pure: counts shapes and says what to do; :mod:`runners.backends.torch.cuda` does it.
"""

from __future__ import annotations

from collections.abc import Hashable
from enum import Enum
from typing import Final

AFTER: Final = 3  # eager runs of a shape, which also warm up what must not happen inside a capture
MOST: Final = 16  # shapes captured per model
FAILURES: Final = (
    3  # after as many, a model is taken to be one that cannot be captured: each try stops the whole device
)
_COUNTED: Final = 1024  # shapes remembered


class Step(Enum):
    """What to do with a run."""

    EAGER = "eager"  # launch kernel by kernel
    CAPTURE = "capture"  # capture, then replay
    REPLAY = "replay"  # replay what was captured


class Captures:
    """Decides for each run. Not thread-safe; its user holds a lock."""

    def __init__(self, *, after: int = AFTER, most: int = MOST) -> None:
        self._after = after
        self._most = most
        self._runs: dict[Hashable, int] = {}
        self._captured: set[Hashable] = set()
        self._refused: set[Hashable] = set()

    def next(self, shapes: Hashable) -> Step:
        """What the next run of these shapes does."""
        if shapes in self._captured:
            return Step.REPLAY
        if shapes in self._refused or len(self._refused) >= FAILURES or len(self._captured) >= self._most:
            return Step.EAGER
        if len(self._runs) >= _COUNTED and shapes not in self._runs:
            self._runs.clear()
        runs = self._runs[shapes] = self._runs.get(shapes, 0) + 1
        return Step.CAPTURE if runs > self._after else Step.EAGER

    def captured(self, shapes: Hashable) -> None:
        """The capture succeeded."""
        self._captured.add(shapes)

    def failed(self, shapes: Hashable) -> None:
        """The model cannot be captured with these shapes; it is not tried again."""
        self._refused.add(shapes)
