# SPDX-License-Identifier: Apache-2.0
"""Makes, rotates and ends API keys. Each change is in the tenant's history and is told to its webhooks."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Final, NoReturn, TypeAlias

from core.clock import Clock, rfc3339
from core.errors import ErrorCode, InvalidRequest, NotFound
from core.telemetry.logs import get_logger
from registry_api.audit.record import record
from registry_api.db.session import Database, Session
from registry_api.http.auth import Principal
from registry_api.http.pagination import Listing, PageRequest
from registry_api.tenancy.authenticator import KeyAuthenticator
from registry_api.tenancy.credentials import Credential, mint
from registry_api.tenancy.policy import check_grant, key_tenant
from registry_api.tenancy.repository import KeyRepository, TenantRepository
from registry_api.tenancy.service import no_tenant
from registry_api.tenancy.values import ApiKey, MintedKey, NewKey, Tenant
from registry_api.webhooks.outbox import emit
from registry_api.webhooks.values import EventKind

_Facts: TypeAlias = dict[str, Any]

_TOLD: Final = frozenset(EventKind)
_log = get_logger(__name__)


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
        async with self._db.write(wanted.tenant) as session:
            if await TenantRepository(session).get(wanted.tenant) is None:
                no_tenant(wanted.tenant)
            KeyRepository(session, wanted.tenant).add(key, credential.secret_hash)
            await self._tell(session, principal, "key.created", key, before=None, after=_facts(key))
        _log.info("key_created", tenant=key.tenant, key_id=key.id, created_by=principal.key_id)
        return MintedKey(key=key, plaintext=credential.plaintext)

    async def page(self, principal: Principal, tenant: str | None, request: PageRequest) -> Listing[ApiKey]:
        """Keys in force of the caller's tenant, or of ``tenant`` for a platform administrator."""
        async with self._db.read(key_tenant(principal, tenant)) as session:
            return await KeyRepository(session, key_tenant(principal, tenant)).page(request)

    async def rotate(self, principal: Principal, tenant: str | None, key_id: str, *, overlap: timedelta) -> MintedKey:
        """Gives a key a new secret. The one it has works for ``overlap`` more; the one before that stops at once.

        Raises:
            AuthError: ``AUTH_003`` if the caller may not have made the key.
            NotFound: ``KEY_001`` if the tenant has no such key in force.
        """
        owner = key_tenant(principal, tenant)
        secret = mint().secret
        credential = Credential(id=key_id, secret=secret)
        async with self._db.write(owner) as session:
            keys = KeyRepository(session, owner)
            old = await self._in_force(keys, key_id)
            check_grant(principal, old.roles)  # whoever rotates a key holds it afterwards
            until = self._clock.now() + overlap
            key = await keys.rotate(key_id, credential.secret_hash, previous_until=until)
            await self._tell(session, principal, "key.rotated", key, before=_facts(old), after=_facts(key))
        self._authenticator.forget(key_id)
        _log.info("key_rotated", tenant=owner, key_id=key_id, rotated_by=principal.key_id, until=rfc3339(until))
        return MintedKey(key=key, plaintext=credential.plaintext)

    async def revoke(self, principal: Principal, tenant: str | None, key_id: str) -> None:
        """Ends a key at once.

        Raises:
            AuthError: ``AUTH_003`` if the caller may not have made the key.
            NotFound: ``KEY_001`` if the tenant has no such key that is not revoked.
        """
        owner = key_tenant(principal, tenant)
        async with self._db.write(owner) as session:
            keys = KeyRepository(session, owner)
            old = await keys.get(key_id)
            if old is None or old.revoked_at is not None:
                _no_key(key_id)
            check_grant(principal, old.roles)
            await keys.revoke(key_id, self._clock.now())
            await self._tell(session, principal, "key.revoked", old, before=_facts(old), after=None)
        self._authenticator.forget(key_id)
        _log.info("key_revoked", tenant=owner, key_id=key_id, revoked_by=principal.key_id)

    async def install_first_key(self, credential: Credential, wanted: NewKey) -> bool:
        """Writes the key of the first start unless the tenant has had one; True if this call wrote it."""
        async with self._db.write(wanted.tenant) as session:
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
        async with self._db.read(wanted.tenant) as session:
            return await KeyRepository(session, wanted.tenant).first_key(wanted.name) is not None

    async def _in_force(self, keys: KeyRepository, key_id: str) -> ApiKey:
        key = await keys.get(key_id)
        if key is None or not key.usable(self._clock.now()):
            _no_key(key_id)
        return key

    async def _tell(
        self, session: Session, by: Principal, kind: str, key: ApiKey, *, before: _Facts | None, after: _Facts | None
    ) -> None:
        now, subject = self._clock.now(), f"key/{key.id}"
        if kind in _TOLD:
            await emit(
                session, tenant=key.tenant, kind=kind, subject=subject, old=before, new=after, actor=by.name, at=now
            )
        await record(
            session,
            tenant=key.tenant,
            actor=by.name,
            actor_key=by.key_id,
            action=kind,
            subject=subject,
            before=before,
            after=after,
            reason="",
            at=now,
        )

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


def _facts(key: ApiKey) -> _Facts:
    def shown(moment: datetime | None) -> str | None:
        return None if moment is None else rfc3339(moment)

    return {
        "id": key.id,
        "name": key.name,
        "roles": sorted(key.roles),
        "expires_at": shown(key.expires_at),
        "previous_until": shown(key.previous_until),
    }


def _no_key(key_id: str) -> NoReturn:
    raise NotFound(ErrorCode.KEY_NOT_FOUND, f"There is no key {key_id!r} in force.", details={"key": key_id})
