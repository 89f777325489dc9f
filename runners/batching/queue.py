# SPDX-License-Identifier: Apache-2.0
"""The waiting requests of one model: bounded, fair between tenants, in buckets, with exact accounting.

* ``rows`` and ``size`` are at every moment the sums over the requests that wait: added, not yet taken and not discarded.
* A tenant may fill the bounds up to its share only of what the others leave free: several that send without end share all but
  a rest, which is there for whoever comes new. Who has nothing waiting may always bring one request if there is room at all.
* Between tenants the rule of :mod:`runners.batching.accounts` applies, inside a tenant that of :mod:`runners.batching.lanes`.
  What remains of a batch is filled from the same bucket in the same order, or by :mod:`runners.batching.lengths`.

Used on the event loop's thread only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Final

from runners.batching.accounts import Accounts, fair_order
from runners.batching.lanes import Lane, rank_of
from runners.batching.lengths import LengthCosts, best_group
from runners.batching.policy import BatchLimits
from runners.batching.work import Batch, BucketKey, Work

_NEVER: Final = float("inf")
_CANDIDATES: Final = 128  # requests among which a group of lengths is chosen


class BatchQueue:
    """A bounded queue that hands out batches.

    Args:
        limits: Its bounds.
        most_rows: Rows merged into one execution.
        seconds: What an execution of so many units takes, as far as is known.
        label: The model, for messages.

    Attributes:
        rows: Rows waiting.
        size: Bytes waiting.
        units: Their cost.
        urgent: Requests waiting that have a deadline of their own.
        lengths: What executions of each length take.
        accounts: What each tenant has used.
    """

    def __init__(self, limits: BatchLimits, *, most_rows: int, seconds: Callable[[int], float], label: str) -> None:
        self._limits = limits
        self._most_rows = most_rows
        self._seconds = seconds
        self._label = label
        self.lengths = LengthCosts()
        self.accounts = Accounts()
        self._active = self.accounts.active
        self._buckets: dict[BucketKey, dict[Lane, None]] = {}
        self._again: deque[Batch] = deque()
        self.rows = 0
        self.size = 0
        self.units = 0
        self.urgent = 0

    def __bool__(self) -> bool:
        """Whether anything is left to run."""
        return bool(self._active or self._again)

    def held(self, tenant: str) -> tuple[int, int]:
        """Rows and bytes that a tenant has waiting."""
        account = self._active.get(tenant)
        return (0, 0) if account is None else (account.rows, account.size)

    def refusal(self, tenant: str, rows: int, size: int) -> str | None:
        """Why a request of ``rows`` and ``size`` bytes may not wait now; None: it may."""
        limits = self._limits
        free_rows, free_size = limits.max_queue_rows - self.rows, limits.max_queue_bytes - self.size
        if rows > free_rows or size > free_size:
            return f"The queue of {self._label} is full ({self.rows} rows wait)."
        account = self._active.get(tenant)
        if account is None:
            return None
        share = limits.tenant_share
        rest = 1 - share
        if (account.rows + rows) * rest > share * free_rows or (account.size + size) * rest > share * free_size:
            return f"Your share of the queue of {self._label} is full ({account.rows} rows of yours wait)."
        return None

    def add(self, work: Work) -> None:
        """Appends a request that was not refused."""
        request = work.request
        tenant = self._active.get(request.tenant)
        if tenant is None:
            tenant = self.accounts.join(request.tenant)
        rank = rank_of(request.priority)
        lane = tenant.lane(rank, work.key)
        if not lane.live:
            self._buckets.setdefault(work.key, {})[lane] = None
        lane.push(work)
        tenant.rows += work.rows
        tenant.size += work.size
        tenant.units[rank] += work.units
        self.rows += work.rows
        self.size += work.size
        self.units += work.units
        if request.deadline is not None:
            self.urgent += 1

    def ahead(self, tenant: str, priority: int) -> int:
        """Units that will probably start before a request that comes now: the tenant's own of its class and above, and as
        many of each other tenant, if they have that much."""
        account = self._active.get(tenant)
        own = 0 if account is None else sum(account.units[: rank_of(priority) + 1])
        others = len(self._active) - (account is not None)
        return min(own * (1 + others), self.units)

    def again(self, work: Sequence[Work], origin_units: int) -> None:
        """Puts a part of a failed batch, which cost ``origin_units``, ahead of everything that waits."""
        self._again.append(Batch(work, origin_units))

    def next_again(self) -> Batch | None:
        """The next part of a failed batch that somebody still waits for, if there is one."""
        while self._again:
            batch = self._again.popleft()
            if batch.alive:
                return batch
        return None

    @property
    def parts(self) -> Sequence[Batch]:
        """The parts of failed batches."""
        return self._again

    def turn(self) -> Lane:
        """The lane whose first request goes next; something waits."""
        return self.accounts.next().next()

    def take(self, lane: Lane, room: int, now: float) -> Batch:
        """Takes out a batch: the first request of a lane and what may share its execution.

        Args:
            lane: What :meth:`turn` returned.
            room: Units to stop at, unless lengths decide.
            now: On the clock of the deadlines; company never makes a batch miss the earliest deadline in it.
        """
        leader = lane.head()
        lanes = self._buckets[leader.key]
        if leader.length:
            some = self._candidates(lanes, lane)
            chosen = best_group(some, leader, self.lengths, most_rows=self._most_rows, now=now)
            for work in chosen:
                self._start(work)
        else:
            chosen = self._in_turn(lane, lanes, room, now)
        lane.tenant.served(lane)
        batch = Batch(chosen)
        self.accounts.executes(max(batch.units, room))
        return batch

    def discard(self, work: Work) -> None:
        """Takes out a request that still waits; nothing happens if it does not."""
        if work.waits:
            self._take_out(work)

    def __iter__(self) -> Iterator[Lane]:
        """Every lane with something in it."""
        return (lane for tenant in self._active.values() for lane in tenant.lanes())

    def clear(self) -> list[Work]:
        """Empties the queue and returns what was in it."""
        left = [work for lane in self for work in lane]
        for work in left:
            self.discard(work)
        left += [work for batch in self._again for work in batch.work]
        self._again.clear()
        return left

    def _in_turn(self, first: Lane, lanes: dict[Lane, None], room: int, now: float) -> list[Work]:
        chosen: list[Work] = []
        rows = units = 0
        soonest = _NEVER
        one_lane = len(lanes) == 1
        for work in first if one_lane else fair_order(first, lanes):
            rows += work.rows
            units += work.units
            if chosen and (rows > self._most_rows or units > room):
                break
            deadline = work.request.deadline
            if deadline is not None and deadline < soonest:
                soonest = deadline
            if chosen and soonest != _NEVER and now + self._seconds(units) > soonest:
                break
            chosen.append(work)
            if not one_lane:
                self._start(work)
        if one_lane:
            self._start_first(first, chosen)
        return chosen

    def _candidates(self, lanes: dict[Lane, None], first: Lane) -> list[Work]:
        """The oldest requests of each lane, the leader among them."""
        if len(lanes) == 1:
            return list(islice(first, _CANDIDATES))
        chosen = sorted(lanes, key=lambda lane: (lane is not first, lane.tenant.spent, lane.due()))
        each = max(1, _CANDIDATES // len(chosen))
        return [work for lane in chosen[:_CANDIDATES] for work in islice(lane, each)]

    def _start(self, work: Work) -> None:
        self.accounts.charge(self._active[work.request.tenant], work.units)
        self._take_out(work)

    def _start_first(self, lane: Lane, work: list[Work]) -> None:
        """As :meth:`_start` for each of the first requests of a lane, at once."""
        rows = size = units = urgent = 0
        for one in work:
            rows += one.rows
            size += one.size
            units += one.units
            urgent += one.request.deadline is not None
        self.accounts.charge(lane.tenant, units)
        lane.leave_first(work)
        self._take_off(lane, rows, size, units, urgent)

    def _take_out(self, work: Work) -> None:
        request = work.request
        lane = self._active[request.tenant].lane(rank_of(request.priority), work.key)
        lane.leave(work)
        self._take_off(lane, work.rows, work.size, work.units, request.deadline is not None)

    def _take_off(self, lane: Lane, rows: int, size: int, units: int, urgent: int) -> None:
        tenant = lane.tenant
        tenant.rows -= rows
        tenant.size -= size
        tenant.units[lane.rank] -= units
        self.rows -= rows
        self.size -= size
        self.units -= units
        self.urgent -= urgent
        if not lane.live:
            self._drop(lane)

    def _drop(self, lane: Lane) -> None:
        lanes = self._buckets[lane.key]
        del lanes[lane]
        if not lanes:
            del self._buckets[lane.key]
        tenant = lane.tenant
        tenant.drop(lane)
        if not tenant.waits:
            self.accounts.leave(tenant)
