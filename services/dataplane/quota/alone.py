# SPDX-License-Identifier: Apache-2.0
"""Limits in memory: each process has a fixed share of every tenant's limits and asks nobody."""

from __future__ import annotations

from services.dataplane.quota.account import Account


class Alone:
    """Implements :class:`services.dataplane.quota.interface.Sharing` without anything shared.

    Args:
        processes: How many processes the tenants' requests are spread over.
    """

    def __init__(self, processes: int = 1) -> None:
        self._share = 1.0 / processes

    def join(self, account: Account) -> None:
        account.refill_alone(self._share)

    def need(self, account: Account) -> None:
        """Nothing can be had."""

    async def close(self) -> None:
        """Nothing is shared."""
