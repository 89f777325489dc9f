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

from artifacts.keys.interface import KeyProvider
from artifacts.stores.interface import BlobStore, ManagedStore
from core.clock import Clock, SystemClock
from registry_api.bootstrap.blobs import open_blobs
from registry_api.bootstrap.catalogue import add_catalogue
from registry_api.bootstrap.database import open_database
from registry_api.bootstrap.delivery import add_delivery
from registry_api.bootstrap.first_start import DEFAULT_TENANT, ensure_first_keys, exclusive
from registry_api.bootstrap.governance import add_governance
from registry_api.bootstrap.identity import add_identity
from registry_api.builds.service import BuildService
from registry_api.conversions.calibrations.service import CalibrationService
from registry_api.conversions.routes import ConverterRoutes
from registry_api.conversions.service import ConversionService
from registry_api.conversions.variants.service import Descendants, VariantService
from registry_api.db.session import Database
from registry_api.http.services import Services
from registry_api.jobs.service import JobService
from registry_api.models.service import ModelService
from registry_api.models.uploads.child import ChildLimits
from registry_api.models.uploads.inspection import InspectionLimits, ModelInspector
from registry_api.models.uploads.interface import TenantBlobs
from registry_api.models.uploads.joining import PartJoiner
from registry_api.models.uploads.registration import Registrar
from registry_api.models.uploads.service import UploadLimits, UploadService
from registry_api.models.uploads.turns import TurnLimits
from registry_api.settings.registry import Settings
from registry_api.signing.cosigning import CoSigning
from registry_api.signing.custody import open_keys
from registry_api.signing.service import SigningService
from registry_api.storage.blobs import StoredBlobs
from registry_api.storage.interface import Blobs
from registry_api.storage.repository import StorageRepository
from registry_api.tenancy.authenticator import KeyAuthenticator
from registry_api.tenancy.keys import KeyService
from registry_api.tenancy.service import TenantService
from registry_api.tenancy.uses import KeyUses
from registry_api.tunings.service import TuningService
from registry_api.usage.service import UsageService
from registry_api.webhooks.addresses import AddressPolicy
from registry_api.webhooks.secrets import SecretKeeper
from registry_api.webhooks.service import WebhookService


@dataclass(frozen=True, slots=True, kw_only=True)
class Platform:
    """What every process of the registry stands on."""

    settings: Settings
    clock: Clock
    db: Database
    store: ManagedStore
    blobs: Blobs  # the same store, and what is beside it
    keys: KeyProvider


@asynccontextmanager
async def open_platform(settings: Settings, clock: Clock | None = None) -> AsyncIterator[Platform]:
    """Opens database, store and keys, after making sure that the first start's state exists.

    Raises:
        InitError: ``INIT_001`` or ``INIT_002``, naming the setting or file at fault.
    """
    clock = clock or SystemClock()
    keys = open_keys(settings, clock)
    async with exclusive(settings):
        blobs = open_blobs(settings, clock)
        db = await open_database(settings)
        try:
            await _first_state(settings, db, clock, keys)
        except BaseException:
            await db.close()
            raise
    try:
        yield Platform(settings=settings, clock=clock, db=db, store=blobs.store, blobs=blobs, keys=keys)
    finally:
        await db.close()


async def _first_state(settings: Settings, db: Database, clock: Clock, keys: KeyProvider) -> None:
    authenticator = KeyAuthenticator(db, clock, cache_seconds=0)
    await ensure_first_keys(settings, KeyService(db, clock, authenticator))
    await asyncio.to_thread(keys.policy, DEFAULT_TENANT)  # makes the key; a revoked one is no reason not to start


@asynccontextmanager
async def open_services(platform: Platform) -> AsyncIterator[Services]:
    """The services of the HTTP process; ends their children when it is left."""
    services = Services()
    services.add(Database, platform.db)
    services.add(BlobStore, platform.store)  # type: ignore[type-abstract]
    services.add(KeyProvider, platform.keys)  # type: ignore[type-abstract]
    _add_tenancy(services, platform)
    inspector = _add_models(services, platform)
    add_governance(services, platform.db, platform.store, platform.keys, platform.clock)
    _add_signing(services, platform)
    _add_work(services, platform)
    _add_events(services, platform)
    async with services.get(KeyUses).writing():
        try:
            yield services
        finally:
            await inspector.close()


def _add_tenancy(services: Services, platform: Platform) -> None:
    db, clock = platform.db, platform.clock
    add_identity(services, platform.settings, db, clock)
    services.add(TenantService, TenantService(db, clock, platform.keys))


def _add_models(services: Services, platform: Platform) -> ModelInspector:
    db, store, clock = platform.db, platform.store, platform.clock
    inspector = ModelInspector(store, platform.settings.copies_dir, inspection_limits(platform.settings))
    parts, settings = platform.blobs.parts, platform.settings
    blobs = tenant_blobs(platform)
    joiner = PartJoiner(parts, store, part_bytes=settings.uploads.part_bytes)
    uploads = UploadService(db=db, store=store, clock=clock, blobs=blobs, joiner=joiner, limits=upload_limits(settings))
    services.add(TenantBlobs, blobs)  # type: ignore[type-abstract]
    services.add(ModelService, ModelService(db, store, clock))
    add_catalogue(services, platform.settings, db, store, clock)
    services.add(UploadService, uploads)
    services.add(
        Registrar,
        Registrar(db=db, store=store, clock=clock, keys=platform.keys, uploads=uploads, inspector=inspector),
    )
    return inspector


def tenant_blobs(platform: Platform) -> StoredBlobs:
    """What each tenant keeps, and may."""
    limit = platform.settings.limits.tenant_bytes
    return StoredBlobs(platform.db, platform.store, platform.blobs.parts, tenant_bytes=limit)


def _add_signing(services: Services, platform: Platform) -> None:
    clock, keys = platform.clock, platform.keys
    models, tenants = services.get(ModelService), services.get(TenantService)
    services.add(SigningService, _signing_service(platform, models, tenants))
    default = platform.settings.keys.co_sign
    services.add(CoSigning, CoSigning(models=models, tenants=tenants, keys=keys, clock=clock, default=default))


def _signing_service(platform: Platform, models: ModelService, tenants: TenantService) -> SigningService:
    return SigningService(
        platform.db,
        platform.clock,
        keys=platform.keys,
        models=models,
        tenants=tenants,
        descendants=Descendants(platform.db),
    )


def _add_work(services: Services, platform: Platform) -> None:
    db, clock, settings = platform.db, platform.clock, platform.settings
    jobs = JobService(db, clock, max_attempts=settings.jobs.max_attempts, queued=settings.jobs.queued)
    models = services.get(ModelService)
    variants = VariantService(db, platform.store, platform.keys, models)
    builds = BuildService(db, platform.store, models, jobs, variants=variants)
    services.add(JobService, jobs)
    services.add(TuningService, TuningService(db, models, jobs))
    services.add(VariantService, variants)
    services.add(ConverterRoutes, ConverterRoutes())
    services.add(ConversionService, ConversionService(db, platform.store, models, jobs))
    blobs = services.get(TenantBlobs)  # type: ignore[type-abstract]
    calibrations = CalibrationService(db, platform.store, platform.keys, clock, models=models, blobs=blobs)
    services.add(CalibrationService, calibrations)
    services.add(BuildService, builds)
    add_delivery(services, settings, db, platform.store, clock)


def _add_events(services: Services, platform: Platform) -> None:
    db, clock, settings = platform.db, platform.clock, platform.settings
    webhooks = WebhookService(
        db,
        clock,
        secret_keeper(platform),
        policy=address_policy(settings),
        per_tenant=settings.webhooks.per_tenant,
    )
    services.add(WebhookService, webhooks)
    usage = UsageService(
        db,
        clock,
        kept_bytes=lambda session, tenant: StorageRepository(session, tenant).kept_bytes(),
        tenant_bytes=settings.limits.tenant_bytes,
    )
    services.add(UsageService, usage)


def secret_keeper(platform: Platform) -> SecretKeeper:
    """Keeps the secrets of webhooks, as encryption at rest is set."""
    return SecretKeeper(platform.blobs.wrapper, encrypt=platform.blobs.encryption)


def address_policy(settings: Settings) -> AddressPolicy:
    """Where webhooks may be sent, as the settings say."""
    webhooks = settings.webhooks
    return AddressPolicy(http=webhooks.http, ports=webhooks.ports, loopback=webhooks.loopback)


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
