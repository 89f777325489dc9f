# SPDX-License-Identifier: Apache-2.0
"""The composition root: the only place that knows which implementation stands behind each port.

A process opens a :class:`Platform` (what both the server and the worker need) and builds its services on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from artifacts.keys.file import FileKeyProvider
from artifacts.keys.interface import KeyProvider
from artifacts.stores.interface import BlobStore
from artifacts.stores.objects import ObjectBlobStore
from core.clock import Clock, SystemClock
from core.errors import ErrorCode, InitError
from registry_api.builds.service import BuildService
from registry_api.db.engine import create_engine
from registry_api.db.session import Database
from registry_api.deployments.service import DeploymentService
from registry_api.firststart import DEFAULT_TENANT, ensure_first_keys, exclusive, migrate
from registry_api.http.auth import Authenticator
from registry_api.http.services import Services
from registry_api.jobs.service import JobService
from registry_api.models.service import ModelService
from registry_api.models.uploads.child import ChildLimits
from registry_api.models.uploads.inspection import InspectionLimits, ModelInspector
from registry_api.models.uploads.interface import TenantBlobs
from registry_api.models.uploads.registration import Registrar
from registry_api.models.uploads.service import UploadLimits, UploadService
from registry_api.models.uploads.turns import TurnLimits
from registry_api.promotion.service import PromotionService
from registry_api.settings import Settings
from registry_api.storage.blobs import StoredBlobs
from registry_api.tenancy.authenticator import KeyAuthenticator
from registry_api.tenancy.service import KeyService, TenantService
from registry_api.tunings.service import TuningService


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What every process of the registry stands on."""

    settings: Settings
    clock: Clock
    db: Database
    store: ObjectBlobStore
    keys: KeyProvider


@asynccontextmanager
async def open_platform(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Platform]:
    """Opens database, store and keys, after making sure that the first start's state exists.

    Raises:
        InitError: ``INIT_001`` or ``INIT_002``, naming the setting or file at fault.
    """
    clock = clock or SystemClock()
    keys = FileKeyProvider(settings.keys_dir)
    async with exclusive(settings):
        store = open_store(settings.store_url, clock)
        await migrate(settings)
        db = Database(create_engine(settings.database_url), wait_seconds=settings.database.wait_seconds)
        try:
            await _first_state(settings, db, clock, keys)
        except BaseException:
            await db.close()
            raise
    try:
        yield Platform(settings=settings, clock=clock, db=db, store=store, keys=keys)
    finally:
        await db.close()


async def _first_state(settings: Settings, db: Database, clock: Clock, keys: KeyProvider) -> None:
    authenticator = KeyAuthenticator(db, clock, cache_seconds=0)
    await ensure_first_keys(settings, KeyService(db, clock, authenticator))
    await asyncio.to_thread(keys.signer, DEFAULT_TENANT)


def open_store(url: str, clock: Clock) -> ObjectBlobStore:
    """The blob store at ``url``.

    Raises:
        InitError: ``INIT_002`` if the URL is of no kind we have a store for.
    """
    parts = urlsplit(url)
    if parts.scheme == "file" and parts.netloc == "" and parts.path.startswith("/"):
        return ObjectBlobStore.local(Path(url2pathname(parts.path)), clock=clock)
    if parts.scheme == "memory":
        return ObjectBlobStore.memory()
    raise InitError(
        ErrorCode.SETTING_INVALID, f"FUROSHIKI_STORE__URL: got {url!r}; expected 'file:///folder' or 'memory://'."
    )


@asynccontextmanager
async def open_services(platform: Platform) -> AsyncIterator[Services]:
    """The services of the HTTP process; ends their children when it is left."""
    services = Services()
    services.add(Database, platform.db)
    services.add(BlobStore, platform.store)  # type: ignore[type-abstract]
    services.add(KeyProvider, platform.keys)  # type: ignore[type-abstract]
    _add_tenancy(services, platform)
    inspector = _add_models(services, platform)
    services.add(PromotionService, PromotionService(platform.db, platform.clock))
    _add_work(services, platform)
    try:
        yield services
    finally:
        await inspector.close()


def _add_tenancy(services: Services, platform: Platform) -> None:
    db, clock = platform.db, platform.clock
    authenticator = KeyAuthenticator(db, clock, cache_seconds=platform.settings.auth.cache_seconds)
    services.add(Authenticator, authenticator)  # type: ignore[type-abstract]
    services.add(KeyService, KeyService(db, clock, authenticator))
    services.add(TenantService, TenantService(db, clock, platform.keys))


def _add_models(services: Services, platform: Platform) -> ModelInspector:
    db, store, clock = platform.db, platform.store, platform.clock
    inspector = ModelInspector(store, platform.settings.scratch_dir, inspection_limits(platform.settings))
    blobs = StoredBlobs(db, store, tenant_bytes=platform.settings.limits.tenant_bytes)
    uploads = UploadService(db=db, store=store, clock=clock, blobs=blobs, limits=upload_limits(platform.settings))
    services.add(TenantBlobs, blobs)  # type: ignore[type-abstract]
    services.add(ModelService, ModelService(db, store, clock))
    services.add(UploadService, uploads)
    services.add(
        Registrar,
        Registrar(db=db, store=store, clock=clock, keys=platform.keys, uploads=uploads, inspector=inspector),
    )
    return inspector


def _add_work(services: Services, platform: Platform) -> None:
    db, clock, settings = platform.db, platform.clock, platform.settings
    jobs = JobService(db, clock, max_attempts=settings.jobs.max_attempts, queued=settings.jobs.queued)
    builds = BuildService(db, platform.store, clock, services.get(ModelService), jobs)
    folder = settings.deployments_dir
    services.add(JobService, jobs)
    services.add(TuningService, TuningService(db, clock, services.get(ModelService), jobs))
    services.add(BuildService, builds)
    services.add(DeploymentService, DeploymentService(db, clock, builds=builds, jobs=jobs, folder=folder))


def upload_limits(settings: Settings) -> UploadLimits:
    """The upload limits that the settings name."""
    return UploadLimits(
        file_bytes=settings.limits.upload_bytes,
        files=settings.limits.upload_files,
        total_bytes=settings.inspection.copy_bytes,
        open_uploads=settings.limits.open_uploads,
        ttl=timedelta(hours=settings.uploads.ttl_hours),
        idle_seconds=settings.uploads.idle_seconds,
    )


def inspection_limits(settings: Settings) -> InspectionLimits:
    """The inspection limits that the settings name."""
    inspection = settings.inspection
    return InspectionLimits(
        child=ChildLimits(wall_seconds=inspection.timeout_seconds, memory_bytes=inspection.memory_bytes),
        turns=TurnLimits(
            concurrent=inspection.concurrent,
            waiting=inspection.waiting,
            tenant_concurrent=inspection.tenant_concurrent,
            tenant_waiting=inspection.tenant_waiting,
        ),
        copy_bytes=inspection.copy_bytes,
        remembered=inspection.remembered,
    )
