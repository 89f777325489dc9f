# SPDX-License-Identifier: Apache-2.0
"""Makes tenants and keys, and ends keys."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import NoReturn

from artifacts.keys.interface import KeyProvider
from core.clock import Clock
from core.errors import Conflict, ErrorCode, InvalidRequest, NotFound
from core.telemetry.logs import get_logger
from registry_api.db.session import Database
from registry_api.http.auth import Principal
from registry_api.http.pagination import Listing, PageRequest
from registry_api.tenancy.authenticator import KeyAuthenticator
from registry_api.tenancy.credentials import Credential, mint
from registry_api.tenancy.policy import check_grant, key_tenant
from registry_api.tenancy.repository import KeyRepository, TenantRepository
from registry_api.tenancy.values import ApiKey, Limits, MintedKey, NewKey, Tenant

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
        async with self._db.write() as session:
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
        async with self._db.read() as session:
            tenant = await TenantRepository(session).get(name)
        if tenant is None:
            _no_tenant(name)
        return tenant

    async def set_limits(self, principal: Principal, name: str, limits: Limits) -> Tenant:
        """Replaces how much a tenant may ask of the inference services; they learn of it within seconds.

        Raises:
            NotFound: ``TENANT_001`` if there is none of that name.
        """
        async with self._db.write() as session:
            tenant = await TenantRepository(session).set_limits(name, limits)
        if tenant is None:
            _no_tenant(name)
        _log.info("tenant_limits_set", tenant=name, set_by=principal.key_id, **asdict(limits))
        return tenant

    async def set_features(self, principal: Principal, name: str, features: Mapping[str, bool]) -> Tenant:
        """Replaces what is switched on and off for a tenant; the inference services learn of it within seconds.

        Raises:
            NotFound: ``TENANT_001`` if there is none of that name.
        """
        async with self._db.write() as session:
            tenant = await TenantRepository(session).set_features(name, features)
        if tenant is None:
            _no_tenant(name)
        _log.info("tenant_features_set", tenant=name, set_by=principal.key_id, features=dict(features))
        return tenant

    async def page(self, request: PageRequest) -> Listing[Tenant]:
        """Tenants by name."""
        async with self._db.read() as session:
            return await TenantRepository(session).page(request)


class KeyService:
    """API keys, for administrators of a tenant or of the platform."""

    def __init__(self, db: Database, clock: Clock, authenticator: KeyAuthenticator) -> None:
        self._db = db
        self._clock = clock
        self._authenticator = authenticator

    async def create(self, principal: Principal, wanted: NewKey) -> MintedKey:
        """Makes a key; the returned plaintext is its only copy.

        Raises:
            AuthError: ``AUTH_003`` if the caller may not grant this.
            NotFound: ``TENANT_001`` if the tenant does not exist.
            InvalidRequest: ``VALID_002`` if the expiry has passed.
        """
        key_tenant(principal, wanted.tenant)
        check_grant(principal, wanted.roles)
        if wanted.expires_at is not None and wanted.expires_at <= self._clock.now():
            raise InvalidRequest(
                ErrorCode.INVALID_FIELD, "'expires_at' lies in the past.", details={"field": "expires_at"}
            )
        credential = mint()
        key = self._key(credential, wanted, created_by=principal.key_id)
        async with self._db.write() as session:
            if await TenantRepository(session).get(wanted.tenant) is None:
                _no_tenant(wanted.tenant)
            KeyRepository(session, wanted.tenant).add(key, credential.secret_hash)
        _log.info("key_created", tenant=key.tenant, key_id=key.id, created_by=principal.key_id)
        return MintedKey(key=key, plaintext=credential.plaintext)

    async def page(self, principal: Principal, tenant: str | None, request: PageRequest) -> Listing[ApiKey]:
        """Keys in force of the caller's tenant, or of ``tenant`` for a platform administrator."""
        async with self._db.read() as session:
            return await KeyRepository(session, key_tenant(principal, tenant)).page(request)

    async def revoke(self, principal: Principal, tenant: str | None, key_id: str) -> None:
        """Ends a key at once.

        Raises:
            NotFound: ``KEY_001`` if the tenant has no such key in force.
        """
        owner = key_tenant(principal, tenant)
        async with self._db.write() as session:
            revoked = await KeyRepository(session, owner).revoke(key_id, self._clock.now())
        self._authenticator.forget(key_id)
        if not revoked:
            raise NotFound(ErrorCode.KEY_NOT_FOUND, f"There is no key {key_id!r} in force.", details={"key": key_id})
        _log.info("key_revoked", tenant=owner, key_id=key_id, revoked_by=principal.key_id)

    async def install_first_key(self, credential: Credential, wanted: NewKey) -> bool:
        """Writes the key of the first start unless the tenant has had one; True if this call wrote it."""
        async with self._db.write() as session:
            await TenantRepository(session).add(
                Tenant(name=wanted.tenant, display_name=wanted.tenant, created_at=self._clock.now())
            )
            keys = KeyRepository(session, wanted.tenant)
            if await keys.first_key(wanted.name) is not None:
                return False
            keys.add(self._key(credential, wanted, created_by=None), credential.secret_hash)
        return True

    async def has_first_key(self, wanted: NewKey) -> bool:
        """Whether that key of the first start was ever written."""
        async with self._db.read() as session:
            return await KeyRepository(session, wanted.tenant).first_key(wanted.name) is not None

    def _key(self, credential: Credential, wanted: NewKey, *, created_by: str | None) -> ApiKey:
        return ApiKey(
            id=credential.id,
            tenant=wanted.tenant,
            name=wanted.name,
            roles=wanted.roles,
            created_at=self._clock.now(),
            created_by=created_by,
            expires_at=wanted.expires_at,
            revoked_at=None,
        )


def _no_tenant(name: str) -> NoReturn:
    raise NotFound(ErrorCode.TENANT_NOT_FOUND, f"There is no tenant {name!r}.", details={"tenant": name})
