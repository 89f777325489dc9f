# SPDX-License-Identifier: Apache-2.0
"""The cores of one device, shared between the tenants whose models run on it.

Each model has a queue of its own, so what tenants compete for is where their batches run. Two rules:

* A tenant may run as many executions as an equal share of the cores between those that run any, and always one: no tenant
  waits for another's execution to end, however long that takes.
* A core nobody uses may be used by anybody; if several models were refused, in turn.

So a tenant that keeps every core busy falls back to its share as its executions end, while another one has work.
"""

from __future__ import annotations

from collections.abc import Callable


class Cores:
    """Counts executions in flight. Used on the event loop's thread only.

    Args:
        count: Executions the device runs at once without slowing each other.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._busy = 0
        self._running: dict[str, int] = {}  # executions in flight of each tenant that has any
        self._held: dict[Callable[[], None], None] = {}  # who was refused, in turn

    def start(self, tenant: str, wake: Callable[[], None]) -> bool:
        """Takes a core, if the tenant may have one more.

        Args:
            tenant: Whose model it is.
            wake: Identifies the model. If it was refused, called each time that may have changed, until it is granted a core
                or :meth:`forget` is called; must not call back at once.
        """
        running = self._running.get(tenant, 0)
        share = max(1, self._count // (len(self._running) + (not running)))
        if running >= share and (self._busy >= self._count or next(iter(self._held), wake) != wake):
            self._held.setdefault(wake)
            return False
        self._held.pop(wake, None)
        self._busy += 1
        self._running[tenant] = running + 1
        return True

    def end(self, tenant: str) -> None:
        """Gives a core back."""
        self._busy -= 1
        left = self._running.pop(tenant) - 1
        if left:
            self._running[tenant] = left
        for wake in self._held:
            wake()

    def forget(self, wake: Callable[[], None]) -> None:
        """The model has nothing to run any more."""
        if self._held:
            self._held.pop(wake, None)
