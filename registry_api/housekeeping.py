# SPDX-License-Identifier: Apache-2.0
"""Removes what nobody will come back for.

Every few minutes: uploads that expired or were given up and their blobs, parts and files of unfinished puts, copies of killed
inspections, ended jobs that are old enough, and what was deleted and can be restored no longer. Once a day: blobs that nobody
refers to (:mod:`registry_api.storage.collection`).

An expired upload is first given up, so that nobody can complete it any more; then its blobs are removed one by one
(:mod:`registry_api.storage.blobs` says which, and why that is safe); its rows go last. Killed anywhere, the next sweep
goes on.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Final

from artifacts.coordination.interface import Turns
from core.errors import TransientError
from core.telemetry.logs import get_logger
from registry_api.bootstrap.catalogue import open_idempotency
from registry_api.bootstrap.platform import Platform
from registry_api.db.session import EVERY_TENANT
from registry_api.deletion.purging.purger import Purger
from registry_api.models.uploads.copies import sweep_copies
from registry_api.models.uploads.interface import TenantBlobs
from registry_api.models.uploads.repository import forget, give_up_expired, next_given_up
from registry_api.models.uploads.values import Upload
from registry_api.storage.collection import Collected, Collector
from registry_api.storage.repository import forget_jobs
from registry_api.usage.service import sweep_requests
from registry_api.webhooks.retention import sweep_deliveries

INTERVAL_SECONDS: Final = 600.0  # also how long a tenant waits for the room of uploads it gave up
_JOBS_AT_ONCE: Final = 500  # forgotten in one transaction
_TURN: Final = "housekeeping"

_log = get_logger(__name__)


async def sweep(platform: Platform, blobs: TenantBlobs) -> None:
    """Removes everything that is due now."""
    purged = await Purger(platform.db, platform.clock).purge()
    async with platform.db.write(EVERY_TENANT) as session:
        expired = await give_up_expired(session, platform.clock.now())
    uploads = removed = 0
    while (upload := await _next_given_up(platform)) is not None:
        removed += await blobs.discard(upload.tenant, (entry.digest for entry in upload.files))
        async with platform.db.write(upload.tenant) as session:
            await forget(session, upload)
        uploads += 1
    staged = await _sweep_remains(platform)
    jobs = await _forget_jobs(platform)
    await _sweep_logs(platform)
    if uploads or staged or jobs or purged:
        counts = {"uploads": uploads, "expired": expired, "blobs": removed, "jobs": jobs, "purged": purged}
        _log.info("swept", **counts, staged_files=staged)


async def collect(platform: Platform, blobs: TenantBlobs) -> Collected:
    """Removes the blobs that nobody refers to and that are older than the longest upload.

    Raises:
        Unavailable: ``STORE_001`` if store or database cannot be reached.
    """
    collector = Collector(
        db=platform.db,
        store=platform.store,
        sealed=platform.blobs.sealed,
        blobs=blobs,
        clock=platform.clock,
        older_than=_longest_upload(platform),
    )
    done = await collector.collect()
    _log.info("collected", looked_at=done.looked_at, removed=done.removed, remains=done.remains)
    return done


async def _sweep_remains(platform: Platform) -> int:
    """Files, parts and multipart uploads of puts that will never end, and copies of killed inspections."""
    age = _longest_upload(platform)
    copies = asyncio.to_thread(sweep_copies, platform.settings.copies_dir, platform.clock.now() - age)
    return await platform.store.sweep_staging(age) + await platform.blobs.parts.sweep(age) + await copies


async def _forget_jobs(platform: Platform) -> int:
    days, forgotten = platform.settings.jobs.keep_days, 0
    while days:
        ended_before = platform.clock.now() - timedelta(days=days)
        async with platform.db.write(EVERY_TENANT) as session:
            count = await forget_jobs(session, ended_before=ended_before, most=_JOBS_AT_ONCE)
        forgotten += count
        if count < _JOBS_AT_ONCE:
            break
    return forgotten


def _longest_upload(platform: Platform) -> timedelta:
    return timedelta(hours=platform.settings.uploads.ttl_hours)


async def _sweep_logs(platform: Platform) -> None:
    db, clock, settings = platform.db, platform.clock, platform.settings
    await sweep_deliveries(db, clock, kept_days=settings.webhooks.kept_days)
    log = settings.request_log
    await sweep_requests(db, clock, kept_days=log.kept_days, usage_days=log.usage_days)
    await open_idempotency(settings, db, clock).sweep()


async def _next_given_up(platform: Platform) -> Upload | None:
    async with platform.db.read(EVERY_TENANT) as session:
        return await next_given_up(session)


async def keep_sweeping(platform: Platform, blobs: TenantBlobs, turns: Turns) -> None:
    """Sweeps at once and then at intervals, until it is cancelled; of several processes, one at a time.

    A store or database that is away is tried again. The first collection comes one collection interval after the start, so
    that restarts do not each cause one.
    """
    every = platform.settings.store.gc_hours * 3600
    collected_at = platform.clock.monotonic()
    while True:
        try:
            async with turns.try_take(_TURN) as turn:
                if turn is not None:
                    await sweep(platform, blobs)
                    if every and platform.clock.monotonic() - collected_at >= every:
                        await collect(platform, blobs)
                        collected_at = platform.clock.monotonic()
        except TransientError as error:
            _log.warning("sweep_failed", code=error.code, **error.log_context)
        await asyncio.sleep(INTERVAL_SECONDS)
