# SPDX-License-Identifier: Apache-2.0
"""Which requests of different lengths to execute together, so that short ones do not pay for long ones.

What rows padded to one length take is learned for each class of lengths (a power of two) by itself: on many devices long rows
gain nothing from company where short ones gain much. Starting from the request whose turn it is, the next longer or the next
shorter one joins, whichever is cheaper, as long as the group takes no longer than its members would among their own. That
request is always in the group: age, priority and fairness decide when a request runs, length only decides with whom.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from runners.batching.curve import CostCurve, bin_of
from runners.batching.sizing import Sizing
from runners.batching.work import Work

_SLACK: Final = 1.05  # what a group may take against its members among their own


class LengthCosts:
    """What executions of padded rows take, by class of length. At most 64 classes."""

    def __init__(self) -> None:
        self._classes: dict[int, tuple[CostCurve, Sizing]] = {}

    def note(self, rows: int, length: int, seconds: float) -> None:
        """Takes the time of an execution of ``rows`` padded to ``length``."""
        number = bin_of(length)
        known = self._classes.get(number)
        if known is None:
            curve = CostCurve()
            known = self._classes[number] = curve, Sizing(curve, instances=1, most=None)
        known[0].note(rows * length, seconds)

    def seconds(self, rows: int, length: int) -> float | None:
        """What an execution takes; None: nothing is known of that class yet."""
        known = self._classes.get(bin_of(length))
        return None if known is None else known[0].seconds(rows * length)

    def rows(self, length: int) -> int:
        """Rows at which to stop merging."""
        known = self._classes.get(bin_of(length))
        return 1 if known is None else max(1, known[1].target // length)

    def among_their_own(self, units: int, length: int, waiting: int) -> float:
        """What ``units`` of one class would take in a batch of their own, when ``waiting`` units of it wait."""
        known = self._classes.get(bin_of(length))
        if known is None:
            return 0.0
        together = max(units, min(waiting, known[1].target))
        return known[0].expected(together) * units / together


def best_group(work: Sequence[Work], leader: Work, costs: LengthCosts, *, most_rows: int, now: float) -> list[Work]:
    """Chooses the group.

    Args:
        work: Requests of one bucket that wait, ``leader`` among them.
        leader: The request whose turn it is.
        costs: What is known.
        most_rows: Rows of one execution; ``leader`` may have more and runs alone then.
        now: On the clock of the deadlines; company never makes a group miss the earliest of its own.
    """
    ordered = sorted(work, key=_length)
    group = _Group(ordered, ordered.index(leader), costs, most_rows, now)
    while group.widen():
        pass
    return ordered[group.low : group.high + 1]


class _Group:
    """``ordered[low]`` to ``ordered[high]``."""

    __slots__ = ("_apart", "_costs", "_most_rows", "_now", "_ordered", "_rows", "_soonest", "_waiting", "high", "low")

    def __init__(self, ordered: Sequence[Work], at: int, costs: LengthCosts, most_rows: int, now: float) -> None:
        self._ordered = ordered
        self._costs = costs
        self._most_rows = most_rows
        self._now = now
        self.low = self.high = at
        first = ordered[at]
        self._rows = first.rows
        self._soonest = first.deadline
        self._apart = costs.seconds(first.rows, first.length) or 0.0  # what the members would take
        self._waiting: Counter[int] = Counter()
        for one in ordered:
            self._waiting[bin_of(one.length)] += one.units

    def widen(self) -> bool:
        """Adds the cheaper neighbour; False if neither may join."""
        below, above = self._excess(self.low - 1), self._excess(self.high + 1)
        if below is None and above is None:
            return False
        if above is None or (below is not None and below <= above):
            self.low -= 1
            added = self._ordered[self.low]
        else:
            self.high += 1
            added = self._ordered[self.high]
        self._rows += added.rows
        self._apart += self._alone(added)
        self._soonest = min(self._soonest, added.deadline)
        return True

    def _excess(self, index: int) -> float | None:
        """What the group takes longer than its members would, with one request more; None: it may not join."""
        if not 0 <= index < len(self._ordered):
            return None
        added = self._ordered[index]
        rows = self._rows + added.rows
        length = max(added.length, self._ordered[self.high].length)
        if rows > self._most_rows or rows > self._costs.rows(length):
            return None
        seconds = self._costs.seconds(rows, length)
        apart = self._apart + self._alone(added)
        if seconds is None or seconds > _SLACK * apart or self._now + seconds > min(self._soonest, added.deadline):
            return None
        return seconds - apart

    def _alone(self, work: Work) -> float:
        return self._costs.among_their_own(work.units, work.length, self._waiting[bin_of(work.length)])


def _length(work: Work) -> int:
    return work.length
