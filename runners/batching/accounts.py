# SPDX-License-Identifier: Apache-2.0
"""Whose turn it is among the tenants of one queue.

Deficit round robin, reckoned exactly: each request that starts is put on its tenant's account, and the tenant with the lowest
account goes first. One that comes back keeps a credit of :data:`_CREDIT` executions at most. Long-run shares are those of
deficit round robin, and that credit stands for its quantum; but a tenant that asks for less than its share is served next,
not after a round of the others.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from heapq import heapify, heappop, heapreplace
from typing import Final

from runners.batching.lanes import Lane, Tenant
from runners.batching.work import Work

_CREDIT: Final = 8  # executions
_REMEMBERED: Final = 1024  # tenants with nothing waiting whose account is kept


class Accounts:
    """The accounts of one queue's tenants.

    Attributes:
        active: Tenants with something waiting, by name.
    """

    def __init__(self) -> None:
        self.active: dict[str, Tenant] = {}
        self._known: dict[str, Tenant] = {}  # those, and some with nothing waiting
        self._level = 0  # account of the tenant that went last
        self._highest = 0  # account of the tenant that has the highest
        self._credit = 0  # units that a tenant which comes back may be below the level

    def join(self, name: str) -> Tenant:
        """Makes a tenant active that was not."""
        tenant = self._known.get(name)
        if tenant is None:
            tenant = self._known[name] = Tenant(name)
        tenant.spent = max(tenant.spent, self._level - self._credit)
        self.active[name] = tenant
        return tenant

    def leave(self, tenant: Tenant) -> None:
        """A tenant has nothing waiting any more. When nobody has, all are even; how many are remembered is bounded."""
        del self.active[tenant.name]
        if not self.active:
            self._level = self._highest
        if len(self._known) > len(self.active) + _REMEMBERED:
            self._known = dict(self.active)

    def next(self) -> Tenant:
        """The active tenant with the lowest account; there is one."""
        active = self.active.values()
        tenant = next(iter(active)) if len(active) == 1 else min(active, key=_spent)
        self._level = tenant.spent
        return tenant

    def charge(self, tenant: Tenant, units: int) -> None:
        """Puts work on a tenant's account."""
        tenant.spent += units
        self._highest = max(self._highest, tenant.spent)

    def charge_failure(self, name: str, units: int) -> None:
        """Puts the work that a failing request caused on its tenant's account, if there is one."""
        tenant = self._known.get(name)
        if tenant is not None:
            self.charge(tenant, units)

    def executes(self, units: int) -> None:
        """An execution of ``units`` begins; credits are reckoned in its like."""
        self._credit = _CREDIT * units


def fair_order(first: Lane, lanes: Collection[Lane]) -> Iterator[Work]:
    """The first request of ``first``, then those of ``lanes``, which are of one bucket, fair between tenants.

    Each must be taken out and charged before the next is asked for.
    """
    yield first.head()
    heap = [(lane.tenant.spent, lane.due(), number, lane) for number, lane in enumerate(lanes)]
    heapify(heap)
    while heap:
        _, _, number, lane = heap[0]
        if not lane.live:
            heappop(heap)
            continue
        now = (lane.tenant.spent, lane.due(), number, lane)
        if now == heap[0]:
            yield lane.head()
        else:
            heapreplace(heap, now)  # the tenant was served, or the lane's first request is another one


def _spent(tenant: Tenant) -> int:
    return tenant.spent
