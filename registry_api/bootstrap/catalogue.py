# SPDX-License-Identifier: Apache-2.0
"""Puts together what describes and finds models, and what remembers keyed requests. Part of the composition root."""

from __future__ import annotations

from datetime import timedelta

from artifacts.stores.interface import BlobStore
from core.clock import Clock
from registry_api.db.session import Database
from registry_api.deletion.service import DeletionService
from registry_api.http.idempotency.service import Idempotency, IdempotencyLimits
from registry_api.http.services import Services
from registry_api.lineage.service import LineageService
from registry_api.models.cards.service import CardService
from registry_api.models.description import DescriptionService
from registry_api.models.resolving import ResolveCache
from registry_api.settings.registry import Settings


def add_catalogue(services: Services, settings: Settings, db: Database, store: BlobStore, clock: Clock) -> None:
    """Adds the services of descriptions, cards, lineage, deletion, quick answers and keyed requests."""
    resolve = settings.resolve
    services.add(DescriptionService, DescriptionService(db, clock))
    services.add(CardService, CardService(db, clock))
    services.add(LineageService, LineageService(db, store))
    retention = timedelta(days=settings.deletion.retention_days)
    services.add(DeletionService, DeletionService(db, clock, retention=retention))
    services.add(ResolveCache, ResolveCache(clock, seconds=resolve.cache_seconds, entries=resolve.entries))
    services.add(Idempotency, open_idempotency(settings, db, clock))


def open_idempotency(settings: Settings, db: Database, clock: Clock) -> Idempotency:
    """The keyed requests, with the limits that the settings name."""
    section = settings.idempotency
    limits = IdempotencyLimits(
        ttl=timedelta(hours=section.ttl_hours),
        tenant_keys=section.tenant_keys,
        response_bytes=section.response_bytes,
    )
    return Idempotency(db, clock, limits)
