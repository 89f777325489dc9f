# SPDX-License-Identifier: Apache-2.0
"""Removes deliveries that ended long ago, with their attempts, and the events that no delivery needs any more."""

from __future__ import annotations

from datetime import timedelta

from core.clock import Clock
from core.telemetry.logs import get_logger
from registry_api.db.session import EVERY_TENANT, Database
from registry_api.webhooks.history.repository import DeliveryHistory

_log = get_logger(__name__)


async def sweep_deliveries(db: Database, clock: Clock, *, kept_days: int) -> int:
    """Removes what is older than it is kept; how many rows."""
    before = clock.now() - timedelta(days=kept_days)
    removed, gone = 0, 1
    while gone:
        async with db.write(EVERY_TENANT) as session:
            gone = await DeliveryHistory(session).forget(before)
        removed += gone
    if removed:
        _log.info("deliveries_swept", rows=removed)
    return removed
