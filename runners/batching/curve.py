# SPDX-License-Identifier: Apache-2.0
"""How long an execution takes, learned for one loaded model: units (see :mod:`runners.batching.shapes`) → seconds.

One bin per power of two holds the last :data:`WINDOW` times. Noise only ever adds time, in bursts, so a bin is read by its
median (what to expect) and its lower quartile (the least to expect). Between bins the curve is linear; beyond the largest it
goes on in proportion, below the smallest it is level. Old times fall out of the window, so a device that became slower or
faster is learned anew. Memory is bounded: at most 64 bins, whatever is sent.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from typing import Final

WINDOW: Final = 15  # times kept per bin
TRIES: Final = 3  # times after which a bin is believed
CONFIDENT: Final = 16  # times noted in all before anything is refused on the strength of the curve
_REFRESH: Final = 32  # the curve is drawn anew after as many times at the latest
_LAST_BIN: Final = 63
_OVERHEAD_UNITS: Final = 256  # guessed cost of an execution on top of its units
_GUESS_S: Final = 1e-9  # guessed seconds of a unit


class _Bin:
    __slots__ = ("seconds", "units")

    def __init__(self) -> None:
        self.seconds: deque[float] = deque(maxlen=WINDOW)
        self.units: deque[int] = deque(maxlen=WINDOW)


def bin_of(units: int) -> int:
    """The bin of an execution: 1, 2, 3-4, 5-8, … units."""
    return min((units - 1).bit_length(), _LAST_BIN)


class CostCurve:
    """Units → seconds.

    Attributes:
        drawn: Changes whenever the curve is drawn anew; what was derived from an older one is stale.
    """

    __slots__ = ("_believed", "_bins", "_fast", "_median", "_noted", "_pending", "_units", "drawn")

    def __init__(self) -> None:
        self._bins: dict[int, _Bin] = {}
        self._noted = 0
        self._pending = 0
        self._believed: list[int] = []  # numbers of the bins with enough times, ascending
        self._units: list[float] = []  # of each of those
        self._median: list[float] = []
        self._fast: list[float] = []
        self.drawn = 0

    @property
    def confident(self) -> bool:
        """Whether enough was seen to refuse a request on the strength of it."""
        return self._noted >= CONFIDENT

    def note(self, units: int, seconds: float) -> None:
        """Takes the time of one execution that succeeded."""
        number = bin_of(units)
        kept = self._bins.get(number)
        if kept is None:
            kept = self._bins[number] = _Bin()
        kept.seconds.append(seconds)
        kept.units.append(units)
        self._noted += 1
        self._pending += 1
        if self._pending >= min(_REFRESH, 1 + self._noted // 8):
            self._draw()

    def seconds(self, units: int) -> float | None:
        """The median time of an execution; None: nothing was learned yet."""
        return self._read(self._median, units)

    def expected(self, units: int) -> float:
        """As :meth:`seconds`; while nothing was learned, a guess that is only good for comparisons."""
        seconds = self.seconds(units)
        return (_OVERHEAD_UNITS + units) * _GUESS_S if seconds is None else seconds

    def least(self, units: int) -> float | None:
        """What an execution hardly ever undercuts; None: nothing was learned yet.

        Beyond the largest bin that is its time, since a larger execution takes at least as long. Below the smallest it is its
        time in proportion, since half an execution takes at least half as long.
        """
        if not self._units:
            return None
        smallest, largest = self._units[0], self._units[-1]
        least = self._read(self._fast, min(units, largest))
        return least if least is None or units >= smallest else least * units / smallest

    @property
    def smallest(self) -> float:
        """Units of the smallest executions that were measured; infinite while there are none."""
        return self._units[0] if self._units else float("inf")

    def knots(self) -> list[tuple[int, float, float]]:
        """What is believed, ascending: the number of each bin, the mean units of its executions, the least of their seconds.

        To compare sizes, the least is what counts: of a few times on a busy machine most may be disturbed.
        """
        return list(zip(self._believed, self._units, self._fast, strict=True))

    def measured(self, units: int) -> int:
        """How many times of executions of about that size are known."""
        kept = self._bins.get(bin_of(units))
        return 0 if kept is None else len(kept.seconds)

    def _draw(self) -> None:
        self._pending = 0
        self.drawn += 1
        self._believed = sorted(number for number, kept in self._bins.items() if len(kept.seconds) >= TRIES)
        believed = [self._bins[number] for number in self._believed]
        ordered = [sorted(kept.seconds) for kept in believed]
        self._units = [sum(kept.units) / len(kept.units) for kept in believed]
        self._median = [seconds[len(seconds) // 2] for seconds in ordered]
        self._fast = [seconds[len(seconds) // 4] for seconds in ordered]

    def _read(self, curve: list[float], units: float) -> float | None:
        known = self._units
        if not known:
            return None
        at = bisect_left(known, units)
        if at == len(known):
            return curve[-1] * units / known[-1]
        if at == 0:
            return curve[0]
        share = (units - known[at - 1]) / (known[at] - known[at - 1])
        return curve[at - 1] + share * (curve[at] - curve[at - 1])
