# SPDX-License-Identifier: Apache-2.0
"""Removes what nobody will come back for: uploads that expired or were given up, their blobs, and files of unfinished puts.

An expired upload is first given up, so that nobody can complete it any more; then its blobs are removed one by one
(:mod:`registry_api.storage.blobs` says which, and why that is safe); its rows go last. Killed anywhere, the next sweep
goes on.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

from core.errors import TransientError
from core.telemetry.logs import get_logger
from registry_api.bootstrap import Platform
from registry_api.models.uploads.interface import TenantBlobs
from registry_api.models.uploads.repository import forget, give_up_expired, next_given_up
from registry_api.models.uploads.values import Upload

INTERVAL_SECONDS: Final = 600.0  # also how long a tenant waits for the room of uploads it gave up

_log = get_logger(__name__)


async def sweep(platform: Platform, blobs: TenantBlobs) -> None:
    """Removes everything that is due now."""
    async with platform.db.write() as session:
        expired = await give_up_expired(session, platform.clock.now())
    uploads = removed = 0
    while (upload := await _next_given_up(platform)) is not None:
        removed += await blobs.discard(upload.tenant, (entry.digest for entry in upload.files))
        async with platform.db.write() as session:
            await forget(session, upload)
        uploads += 1
    staged = await platform.store.sweep_staging(timedelta(hours=platform.settings.uploads.ttl_hours))
    if uploads or staged:
        _log.info("swept", uploads=uploads, expired=expired, blobs=removed, staged_files=staged)


async def _next_given_up(platform: Platform) -> Upload | None:
    async with platform.db.read() as session:
        return await next_given_up(session)


async def keep_sweeping(platform: Platform, blobs: TenantBlobs, *, interval_seconds: float = INTERVAL_SECONDS) -> None:
    """Sweeps at once and then at intervals, until it is cancelled. A store or database that is away is tried again."""
    while True:
        try:
            await sweep(platform, blobs)
        except TransientError as error:
            _log.warning("sweep_failed", code=error.code, **error.log_context)
        await asyncio.sleep(interval_seconds)
