# SPDX-License-Identifier: Apache-2.0
"""Looks every second or so whether what is loaded may still be used, and takes out what may not.

A revocation therefore ends a loaded model one look after the registry or the operator's file says so; nobody has to ask for
the model in between.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from core.telemetry.logs import get_logger
from services.dataplane.trust.live import LiveTrust

_TOGETHER: Final = 16  # tenants asked about at a time

log = get_logger(__name__)


class Loaded(Protocol):
    """Whoever holds loaded models."""

    @property
    def tenants(self) -> frozenset[str]:
        """Whose models are loaded."""
        ...

    def withdraw(self) -> None:
        """Stops offering every loaded model that its tenant does not trust any more."""
        ...


class TrustWatch:
    """Keeps a catalog to what is trusted.

    Args:
        trust: What is asked.
        catalog: What holds the models.
        every_s: Seconds between two looks.
    """

    def __init__(self, trust: LiveTrust, catalog: Loaded, *, every_s: float) -> None:
        self._trust = trust
        self._catalog = catalog
        self._every_s = every_s

    async def look(self) -> None:
        """Looks once. A registry that does not answer holds nothing up but the news it has."""
        waiting = asyncio.Semaphore(_TOGETHER)

        async def refresh(tenant: str) -> None:
            async with waiting:
                await self._trust.refresh(tenant)

        self._catalog.withdraw()  # the files' news need not wait for the registry
        await asyncio.gather(*map(refresh, self._catalog.tenants))
        self._catalog.withdraw()

    async def run(self) -> None:
        """Looks until it is cancelled."""
        while True:
            await asyncio.sleep(self._every_s)
            try:
                await self.look()
            except Exception:
                log.exception("trust_watch_failed")
