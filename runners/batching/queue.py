# SPDX-License-Identifier: Apache-2.0
"""The waiting requests of one model, in buckets of one exact signature, with exact accounting.

``rows`` and ``size`` are at every moment the sums over the requests that wait: added, not yet started and not discarded.
Buckets take turns, and a request's place in its bucket is its order of arrival. Used on the event loop's thread only.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from core.errors import ErrorCode, InvalidRequest, Overloaded
from core.tensors import Array
from runners.batching.policy import BatchLimits, BucketKey
from runners.interface import StopSignal

Results: TypeAlias = list[dict[str, Array]]


@dataclass(slots=True, eq=False)
class Work:
    """One request."""

    inputs: Mapping[str, Array]
    key: BucketKey
    rows: int
    size: int  # bytes of its inputs
    arrived: float  # on the loop's clock
    future: asyncio.Future[dict[str, Array]]
    batch: Batch | None = None  # None: still waits


@dataclass(slots=True, eq=False)
class Batch:
    """Requests that run together."""

    work: Sequence[Work]
    stop: StopSignal = field(default_factory=StopSignal)
    seconds: float = 0.0  # it took

    @property
    def rows(self) -> int:
        return sum(work.rows for work in self.work)

    @property
    def abandoned(self) -> bool:
        """Whether nobody waits for its result any more."""
        return all(work.future.done() for work in self.work)


class BatchQueue:
    """A bounded queue that hands out batches.

    Args:
        limits: Its bounds.
        batched: Whether requests may share a batch at all.
        label: The model, for messages.
    """

    def __init__(self, limits: BatchLimits, *, batched: bool, label: str) -> None:
        self._limits = limits
        self._most = limits.max_rows if batched else 1
        self._label = label
        self._buckets: OrderedDict[BucketKey, deque[Work]] = OrderedDict()
        self._again: deque[Batch] = deque()
        self.rows = 0
        self.size = 0

    def __bool__(self) -> bool:
        """Whether anything is left to run."""
        return bool(self._buckets or self._again)

    def check(self, rows: int, size: int) -> None:
        """Raises unless a request of ``rows`` and ``size`` bytes may wait.

        Raises:
            InvalidRequest: ``VALID_003`` if one request may not bring as many rows.
            Overloaded: ``QUEUE_001`` if there is no room now.
        """
        limits = self._limits
        if rows > limits.max_request_rows:
            raise InvalidRequest(
                ErrorCode.TOO_LARGE, f"The request has {rows} rows; the limit is {limits.max_request_rows}."
            )
        if self.rows + rows > limits.max_queue_rows or self.size + size > limits.max_queue_bytes:
            raise Overloaded(
                ErrorCode.QUEUE_FULL, f"The queue of {self._label} is full ({self.rows} rows wait).", retry_after=1.0
            )

    def add(self, work: Work) -> None:
        """Appends a request that was checked."""
        bucket = self._buckets.get(work.key)
        if bucket is None:
            bucket = self._buckets[work.key] = deque()
        bucket.append(work)
        self.rows += work.rows
        self.size += work.size

    def again(self, work: Sequence[Work]) -> None:
        """Puts a part of a failed batch ahead of everything that waits."""
        self._again.append(Batch(work))

    def next(self) -> Batch | None:
        """The next batch, taken out of the queue; None if there is none."""
        if self._again:
            batch = self._again.popleft()
        elif self._buckets:
            batch = self._take()
        else:
            return None
        for work in batch.work:
            work.batch = batch
        return batch

    def _take(self) -> Batch:
        key, bucket = next(iter(self._buckets.items()))
        chosen: list[Work] = []
        rows = 0
        while bucket and (not chosen or rows + bucket[0].rows <= self._most):
            work = bucket.popleft()
            rows += work.rows
            self.size -= work.size
            chosen.append(work)
        self.rows -= rows
        if bucket:
            self._buckets.move_to_end(key)  # other shapes take their turn
        else:
            del self._buckets[key]
        return Batch(chosen)

    def discard(self, work: Work) -> None:
        """Takes out a request that still waits; nothing happens if it does not."""
        bucket = self._buckets.get(work.key)
        if work.batch is not None or bucket is None or work not in bucket:
            return
        bucket.remove(work)
        if not bucket:
            del self._buckets[work.key]
        self.rows -= work.rows
        self.size -= work.size

    def clear(self) -> list[Work]:
        """Empties the queue and returns what was in it."""
        left = [work for bucket in self._buckets.values() for work in bucket]
        left += [work for batch in self._again for work in batch.work]
        self._buckets.clear()
        self._again.clear()
        self.rows = self.size = 0
        return left
