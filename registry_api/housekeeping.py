# SPDX-License-Identifier: Apache-2.0
"""Removes what nobody will come back for: uploads that expired, and files of puts that never ended."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

from core.errors import TransientError
from core.telemetry.logs import get_logger
from registry_api.bootstrap import Platform
from registry_api.models.uploads.repository import delete_expired

INTERVAL_SECONDS: Final = 3600.0

_log = get_logger(__name__)


async def sweep(platform: Platform) -> None:
    """Removes everything that is due now."""
    async with platform.db.write() as session:
        uploads = await delete_expired(session, platform.clock.now())
    staged = await platform.store.sweep_staging(timedelta(hours=platform.settings.uploads.ttl_hours))
    if uploads or staged:
        _log.info("swept", uploads=uploads, staged_files=staged)


async def keep_sweeping(platform: Platform, *, interval_seconds: float = INTERVAL_SECONDS) -> None:
    """Sweeps at once and then at intervals, until it is cancelled. A store or database that is away is tried again."""
    while True:
        try:
            await sweep(platform)
        except TransientError as error:
            _log.warning("sweep_failed", code=error.code, **error.log_context)
        await asyncio.sleep(interval_seconds)
