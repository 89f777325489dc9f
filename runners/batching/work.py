# SPDX-License-Identifier: Apache-2.0
"""One request in a queue, and the batch it runs in."""

from __future__ import annotations

from asyncio import TimerHandle
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import msgspec

from core.inference import InferenceRequest
from core.tensors import Array, Shape
from runners.interface import StopSignal

BucketKey: TypeAlias = tuple[Shape, ...]
Results: TypeAlias = list[dict[str, Array]]
Outcome: TypeAlias = dict[str, Array] | Exception
Done: TypeAlias = Callable[[Outcome], None]

_NEVER: Final = float("inf")


class Work(msgspec.Struct, eq=False):
    """One request.

    ``units`` is what it costs by itself, in the model's own measure (see :mod:`runners.batching.shapes`): what fairness,
    batch size and predictions are reckoned in.
    """

    request: InferenceRequest
    key: BucketKey  # equal for requests that may share a batch
    rows: int
    size: int  # bytes of its inputs
    units: int
    length: int  # of its ragged axis; 0: it has none
    arrived: float  # on the loop's clock
    done: Done
    abandon: Callable[[Work], None]
    waits: bool = False  # in the queue, neither taken nor given up
    batch: Batch | None = None  # where it runs; None: it waits or never started
    timer: TimerHandle | None = None  # of its own deadline
    ended: bool = False  # nobody waits for it any more

    @property
    def deadline(self) -> float:
        """On the loop's clock; infinite: it has none of its own."""
        deadline = self.request.deadline
        return _NEVER if deadline is None else deadline

    def cancel(self) -> None:
        """Nobody waits any more: it leaves the queue uncomputed. May be called twice, and after the end."""
        if not self.ended:
            self.ended = True
            self.abandon(self)


class Batch:
    """Requests that run together.

    Args:
        work: The requests, in the order in which they are merged.
        origin_units: What the batch cost that failed and of which this is a part; None: it is none.

    Attributes:
        rows: Of all requests together.
        length: All of them are padded to it; 0: they have no ragged axis.
        units: What the execution costs, padding included.
        alive: Requests that somebody still waits for.
        began: When it was handed to an instance, on the performance counter.
        seconds: The runner took.
    """

    __slots__ = ("alive", "began", "length", "origin_units", "rows", "seconds", "stop", "units", "work")

    def __init__(self, work: Sequence[Work], origin_units: int | None = None) -> None:
        self.work = work
        self.rows = sum([one.rows for one in work]) if len(work) > 1 else work[0].rows
        self.length = max([one.length for one in work]) if work[0].length else 0
        self.units = self.rows * self.length or sum([one.units for one in work])
        self.origin_units = self.units if origin_units is None else origin_units
        self.alive = len(work)
        self.stop = StopSignal()
        self.began = 0.0
        self.seconds = 0.0
        for one in work:
            one.batch = self

    def leave(self) -> None:
        """One of its requests was given up; when the last one is, the execution is asked to stop."""
        self.alive -= 1
        if not self.alive:
            self.stop.stop()
