# SPDX-License-Identifier: Apache-2.0
"""How much to execute together, and whether to wait, decided on what was learned of a model's cost.

* The target is the smallest size whose throughput is within 10 % of the best: the rest would be paid for with the waiting of
  everybody else. A model that gains nothing from company has a target of one request, so its requests spread over its
  instances by themselves.
* Sizes are found by trying: from one request, each doubling is tried while the last one paid. Now and then a size beside
  the target is tried again, since what was learned may no longer be true.
* An idle model starts with whatever waits. While an execution is in flight, another instance is used only for work that
  would run at half the throughput of the target or better; less waits for company until that execution ends.
* Work that takes nearly in proportion to its size is spread over the idle instances instead of running on one.
"""

from __future__ import annotations

from typing import Final

from runners.batching.curve import WINDOW, CostCurve

_GOOD_ENOUGH: Final = 0.9  # of the best throughput
_PAYS: Final = 1.02  # gain of throughput by which a larger size counts as better at all
_WORTH_AN_INSTANCE: Final = 0.5  # of the target's throughput, while another execution is in flight
_WORTH_SPREADING: Final = 0.75  # of the time on one instance
_PROBE: Final = 512  # executions of the target size, in which a smaller and a larger size are tried once each
_PROBE_EARLY: Final = 8  # the same between two such tries, as long as little is known of those sizes
_UNBOUNDED: Final = 1 << 62


class Sizing:
    """Chooses the size of the next execution.

    Args:
        curve: What is known of the cost.
        instances: Executions in flight at once.
        most: The most units of one execution; None: bounded otherwise.
    """

    __slots__ = ("_curve", "_drawn", "_exploring", "_full", "_instances", "_most", "_rate", "_target")

    def __init__(self, curve: CostCurve, *, instances: int, most: int | None) -> None:
        self._curve = curve
        self._instances = instances
        self._most = _UNBOUNDED if most is None else most
        self._drawn = -1
        self._target = 1  # units
        self._exploring = True  # a larger size than any tried may be better
        self._rate: float | None = None  # units per second of all instances at the target
        self._full = 0  # executions of the target size since it was found

    @property
    def target(self) -> int:
        """The units at which to stop merging, when enough waits."""
        self._learn()
        return self._target

    def room(self, waiting: int, *, idle: int, busy: bool) -> int:
        """Units the next execution may take; 0: better to wait for company until one in flight ends.

        Args:
            waiting: Units that wait.
            idle: Instances that are idle, at least one.
            busy: Whether an execution is in flight.
        """
        self._learn()
        target = self._target
        if busy and waiting < target and not self._worth_an_instance(waiting):
            return 0
        if waiting >= target:
            self._full += 1
            if self._full % _PROBE_EARLY == 0 and not self._exploring:
                return self._beside(target)
        return self._spread(waiting, idle) if idle > 1 else target

    def _beside(self, target: int) -> int:
        """Half or twice the target, if that is to be tried again now."""
        turn = self._full // _PROBE_EARLY
        size = self._smaller(target) if turn % 2 else min(target * 2, self._most)
        due = self._curve.measured(size) < WINDOW or turn % (_PROBE // _PROBE_EARLY) in (0, 1)
        return size if due else target

    def _smaller(self, target: int) -> int:
        """The smallest size of which little is known, else half the target."""
        sizes = (1 << number for number, _, _ in self._curve.knots())
        return next(
            (size for size in sizes if size < target and self._curve.measured(size) < WINDOW), max(1, target // 2)
        )

    def wait_s(self, ahead: int) -> float | None:
        """Seconds until ``ahead`` units have been executed; None: not known well enough."""
        self._learn()
        if self._exploring or self._rate is None or not self._curve.confident:
            return None
        return ahead / self._rate

    def _worth_an_instance(self, waiting: int) -> bool:
        if waiting < self._curve.smallest:
            return True  # it may be
        alone, together = self._curve.seconds(waiting), self._curve.seconds(self._target)
        if alone is None or together is None:
            return True
        return waiting * together >= _WORTH_AN_INSTANCE * self._target * alone

    def _spread(self, waiting: int, idle: int) -> int:
        part = min(self._target, -(-waiting // idle))
        whole, less = self._curve.seconds(min(waiting, self._target)), self._curve.seconds(part)
        if whole is None or less is None or less > _WORTH_SPREADING * whole:
            return self._target
        return part

    def _learn(self) -> None:
        if self._drawn == self._curve.drawn:
            return
        self._drawn = self._curve.drawn
        knots = self._curve.knots()
        if not knots:
            return
        rates = [units / seconds if seconds else float("inf") for _, units, seconds in knots]
        best = max(rates)
        chosen = next(index for index, rate in enumerate(rates) if rate >= _GOOD_ENOUGH * best)
        largest = 1 << knots[-1][0]
        self._exploring = largest < self._most and _still_pays(rates)
        self._target = min(self._most, 2 * largest if self._exploring else 1 << knots[chosen][0])
        self._rate = rates[chosen] * self._instances


def _still_pays(rates: list[float]) -> bool:
    """Whether a doubling paid lately. One that did not may be noise; with two of them, the best has been seen."""
    best = max(rates)
    first = next(index for index, rate in enumerate(rates) if _PAYS * rate >= best)
    return first >= len(rates) - 2
