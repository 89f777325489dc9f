# SPDX-License-Identifier: Apache-2.0
"""The loop of whoever looks after deployments."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from core.telemetry.logs import get_logger

_log = get_logger(__name__)


async def keep_looking(look: Callable[[], Awaitable[None]], *, every: float) -> None:
    """Looks now and then every ``every`` seconds, until cancelled."""
    while True:
        try:
            await look()
        except Exception as error:  # the database may be away for a while; the watch outlives that
            _log.warning("watch_failed", error=str(error))
        await asyncio.sleep(every)
