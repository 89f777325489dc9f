# SPDX-License-Identifier: Apache-2.0
"""Where requests wait: a lane per tenant, priority class and bucket, in order of arrival.

Priority rule: there are five classes, 1 to 5; the protocol's 0 stands for class 3, and anything above 5 for 5. A request
goes as if it had arrived :data:`STEP_S` seconds later for each class below the first. So a higher class goes first, and yet
none waits for ever: what arrives four steps later no longer overtakes.

A request that leaves the middle of its lane is marked and dropped later, at the latest when it outnumbers what still waits:
leaving costs the same however many wait, and the memory stays proportional to them.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Iterator, Sequence
from typing import Final

from runners.batching.work import BucketKey, Work

STEP_S: Final = 1.0  # seconds that a class is behind the one above it
CLASSES: Final = 5
_RANKS: Final = (2, 0, 1, 2, 3, 4)  # of the protocol's priorities 0 to 5
_SLACK: Final = 32  # marked requests kept in a lane of any length


def rank_of(priority: int) -> int:
    """The class, from 0, of a priority as the protocol counts: 1 is the highest, 0 the default."""
    return _RANKS[priority] if 0 <= priority <= CLASSES else CLASSES - 1


def _waits(work: Work) -> bool:
    return work.waits


class Lane:
    """Requests of one tenant, class and bucket. Not empty while the queue knows it.

    Attributes:
        live: Requests that wait.
    """

    __slots__ = ("_works", "key", "live", "rank", "tenant")

    def __init__(self, tenant: Tenant, rank: int, key: BucketKey) -> None:
        self.tenant = tenant
        self.rank = rank
        self.key = key
        self.live = 0
        self._works: deque[Work] = deque()

    def push(self, work: Work) -> None:
        """Appends a request."""
        work.waits = True
        self._works.append(work)
        self.live += 1

    def leave(self, work: Work) -> None:
        """Marks a request as gone."""
        work.waits = False
        self.live -= 1
        if len(self._works) > 2 * self.live + _SLACK:
            self._works = deque(self)

    def leave_first(self, work: Sequence[Work]) -> None:
        """Takes out its first requests."""
        works = self._works
        for one in work:
            while works.popleft() is not one:  # marked
                pass
            one.waits = False
        self.live -= len(work)

    def head(self) -> Work:
        """The first request; there is one."""
        works = self._works
        while not works[0].waits:
            works.popleft()
        return works[0]

    def due(self) -> float:
        """When its first request arrived, for comparison between classes."""
        return self.head().arrived + self.rank * STEP_S

    def __iter__(self) -> Iterator[Work]:
        """The requests, first to last."""
        return filter(_waits, self._works)


class Tenant:
    """What one tenant has waiting in one queue.

    Attributes:
        spent: Units of its requests that were started, on a scale shared by the tenants of the queue: who has spent least
            goes first.
    """

    __slots__ = ("_classes", "name", "rows", "size", "spent", "units")

    def __init__(self, name: str) -> None:
        self.name = name
        self.rows = 0
        self.size = 0
        self.units = [0] * CLASSES
        self.spent = 0
        self._classes: list[OrderedDict[BucketKey, Lane]] = [OrderedDict() for _ in range(CLASSES)]

    def lane(self, rank: int, key: BucketKey) -> Lane:
        """The lane of a class and bucket; made, if there is none."""
        lanes = self._classes[rank]
        lane = lanes.get(key)
        if lane is None:
            lane = lanes[key] = Lane(self, rank, key)
        return lane

    def next(self) -> Lane:
        """The lane whose first request is next; the buckets of a class take turns. There is one."""
        lanes = [next(iter(lanes.values())) for lanes in self._classes if lanes]
        return lanes[0] if len(lanes) == 1 else min(lanes, key=Lane.due)

    def served(self, lane: Lane) -> None:
        """The lane had its turn."""
        lanes = self._classes[lane.rank]
        if len(lanes) > 1 and lane.key in lanes:
            lanes.move_to_end(lane.key)

    def drop(self, lane: Lane) -> None:
        """Forgets an empty lane."""
        del self._classes[lane.rank][lane.key]

    @property
    def waits(self) -> bool:
        """Whether it has anything waiting."""
        return any(self._classes)

    def lanes(self) -> Iterator[Lane]:
        """Every lane."""
        return (lane for lanes in self._classes for lane in lanes.values())
