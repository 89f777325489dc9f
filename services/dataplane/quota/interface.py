# SPDX-License-Identifier: Apache-2.0
"""The port through which processes share a tenant's limits.

The gate calls ``join`` and ``need`` for a request, so neither may wait.
"""

from __future__ import annotations

from typing import Protocol

from services.dataplane.quota.account import Account


class Sharing(Protocol):
    """Decides how accounts are refilled."""

    def join(self, account: Account) -> None:
        """Sets the refilling of an account that is new, or whose terms have changed."""
        ...

    def need(self, account: Account) -> None:
        """The account runs low; ``account.asking`` was set, and is reset when the need is met."""
        ...

    async def close(self) -> None:
        """Gives back what is shared; may be called twice."""
        ...
