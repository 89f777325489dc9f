# SPDX-License-Identifier: Apache-2.0
"""Counting on the hot path without paying for it there.

A ``prometheus_client`` value that is shared between processes costs a lock, a ``getpid`` and a write to a mapped file
each time. A :class:`Tally` or :class:`Bins` adds to plain integers instead, and :func:`flush` moves what was gathered
into the real metric a few times a second. A scrape is at most one flush interval behind; nothing is lost but by a
crash. Use from one thread.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

FLUSH_INTERVAL_S: Final = 0.5

_gathered: Final[set[Tally | Bins]] = set()
_levels: Final[set[Level]] = set()


class Tally:
    """Gathers increments of one labelled counter."""

    __slots__ = ("_count", "_counter")

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._count = 0

    def add(self, amount: int = 1) -> None:
        """Counts."""
        if not self._count:
            _gathered.add(self)
        self._count += amount

    def flush(self) -> None:
        """Moves the count into the metric."""
        count, self._count = self._count, 0
        self._counter.inc(count)


class Bins:
    """Gathers observations of one labelled histogram.

    ``prometheus_client`` has no bulk form of ``observe``, so this adds to the child's own buckets; a test compares the
    result with ``observe``, and the package is pinned.
    """

    __slots__ = ("_bounds", "_counts", "_histogram", "_sum")

    def __init__(self, histogram: Histogram) -> None:
        self._histogram = histogram
        self._bounds: list[float] = list(histogram._upper_bounds)
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Notes one observation, in the histogram's unit."""
        _gathered.add(self)
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def flush(self) -> None:
        """Moves the observations into the metric."""
        counts, self._counts = self._counts, [0] * len(self._bounds)
        total, self._sum = self._sum, 0.0
        self._histogram._sum.inc(total)
        for bucket, count in zip(self._histogram._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


class Level:
    """One labelled gauge that is read when everything is flushed, so that a change of its value costs nothing.

    Args:
        gauge: The metric.
        read: Tells its value at that moment.
    """

    __slots__ = ("_gauge", "_read")

    def __init__(self, gauge: Gauge, read: Callable[[], float]) -> None:
        self._gauge = gauge
        self._read = read
        _levels.add(self)

    def flush(self) -> None:
        """Moves the value into the metric."""
        self._gauge.set(self._read())

    def close(self) -> None:
        """Leaves the metric at 0. May be called twice."""
        _levels.discard(self)
        self._gauge.set(0)


def flush() -> None:
    """Moves everything gathered into its metric."""
    for level in _levels:
        level.flush()
    while _gathered:
        _gathered.pop().flush()
