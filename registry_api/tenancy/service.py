# SPDX-License-Identifier: Apache-2.0
"""Makes tenants, and sets what they may use."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import NoReturn

from artifacts.keys.interface import KeyProvider
from core.clock import Clock
from core.errors import Conflict, ErrorCode, NotFound
from core.telemetry.logs import get_logger
from registry_api.db.session import EVERY_TENANT, Database, Session
from registry_api.http.auth import Principal
from registry_api.http.etags import NO_PRECONDITION, Precondition
from registry_api.http.pagination import Listing, PageRequest
from registry_api.tenancy.repository import TenantRepository
from registry_api.tenancy.schemas import TenantOut
from registry_api.tenancy.values import Limits, Tenant

_log = get_logger(__name__)


class TenantService:
    """Tenants, for administrators of the platform."""

    def __init__(self, db: Database, clock: Clock, keys: KeyProvider) -> None:
        self._db = db
        self._clock = clock
        self._keys = keys

    async def create(self, name: str, display_name: str | None) -> Tenant:
        """Makes a tenant and its signing key.

        Raises:
            Conflict: ``STATE_002`` if the name is taken.
        """
        tenant = Tenant(name=name, display_name=display_name or name, created_at=self._clock.now())
        async with self._db.write(name) as session:
            if not await TenantRepository(session).add(tenant):
                raise Conflict(ErrorCode.RESOURCE_EXISTS, f"Tenant {name!r} exists already.", details={"tenant": name})
        await asyncio.to_thread(self._keys.signer, name)
        _log.info("tenant_created", tenant=name)
        return tenant

    async def get(self, name: str) -> Tenant:
        """One tenant.

        Raises:
            NotFound: ``TENANT_001`` if there is none of that name.
        """
        async with self._db.read(name) as session:
            tenant = await TenantRepository(session).get(name)
        if tenant is None:
            no_tenant(name)
        return tenant

    async def set_limits(
        self, principal: Principal, name: str, limits: Limits, match: Precondition = NO_PRECONDITION
    ) -> Tenant:
        """Replaces how much a tenant may ask of the inference services; they learn of it within seconds.

        Raises:
            NotFound: ``TENANT_001`` if there is none of that name.
            Conflict: ``STATE_003`` if the tenant is not as ``match`` says.
        """
        async with self._db.write(name) as session:
            await _check(session, name, match)
            tenant = await TenantRepository(session).set_limits(name, limits)
        if tenant is None:
            no_tenant(name)
        _log.info("tenant_limits_set", tenant=name, set_by=principal.key_id, **asdict(limits))
        return tenant

    async def set_features(
        self, principal: Principal, name: str, features: Mapping[str, bool], match: Precondition = NO_PRECONDITION
    ) -> Tenant:
        """Replaces what is switched on and off for a tenant; the inference services learn of it within seconds.

        Raises:
            NotFound: ``TENANT_001`` if there is none of that name.
            Conflict: ``STATE_003`` if the tenant is not as ``match`` says.
        """
        async with self._db.write(name) as session:
            await _check(session, name, match)
            tenant = await TenantRepository(session).set_features(name, features)
        if tenant is None:
            no_tenant(name)
        _log.info("tenant_features_set", tenant=name, set_by=principal.key_id, features=dict(features))
        return tenant

    async def page(self, request: PageRequest) -> Listing[Tenant]:
        """Tenants by name."""
        async with self._db.read(EVERY_TENANT) as session:
            return await TenantRepository(session).page(request)


async def _check(session: Session, name: str, match: Precondition) -> None:
    """Checks a tenant against what its changer thinks of it; it stays so until the transaction ends."""
    found = await TenantRepository(session).get(name, lock=True)
    if found is None:
        no_tenant(name)
    match.check(TenantOut.of(found))


def no_tenant(name: str) -> NoReturn:
    """Raises the error for a tenant that is not there."""
    raise NotFound(ErrorCode.TENANT_NOT_FOUND, f"There is no tenant {name!r}.", details={"tenant": name})
