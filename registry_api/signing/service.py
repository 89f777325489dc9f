# SPDX-License-Identifier: Apache-2.0
"""Rotates and revokes the signing keys of a tenant, and revokes its versions.

The key custody is changed first and the history written after it: killed in between, what was revoked stays revoked, and the
caller, who got no answer, says so again. Inference services follow within seconds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from artifacts.digest import Digest
from artifacts.keys.interface import KeyProvider
from artifacts.signing.interface import Signer
from artifacts.signing.policy import TrustedKey, TrustPolicy
from artifacts.signing.public_key import PublicKey
from artifacts.signing.verifier import validity_error
from core.clock import Clock, rfc3339
from core.errors import ErrorCode, NotFound
from core.telemetry.logs import get_logger
from registry_api.audit.record import record
from registry_api.db.session import Database
from registry_api.http.auth import Principal
from registry_api.models.service import ModelService
from registry_api.signing.values import Revocation, SigningKey, Target
from registry_api.tenancy.service import TenantService
from registry_api.webhooks.outbox import emit

_log: Final = get_logger(__name__)


class Offspring(Protocol):
    """Knows what was made of what; a higher slice has the conversions."""

    async def of(self, tenant: str, digest: Digest) -> frozenset[Digest]:
        """Manifests of everything that was made of a manifest, of what was made of it, and so on."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Change:
    """What history and webhooks are told."""

    action: str
    event: str
    subject: str
    before: Mapping[str, Any] | None
    after: Mapping[str, Any] | None


class SigningService:
    """Signing keys, for administrators of a tenant."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        *,
        keys: KeyProvider,
        models: ModelService,
        tenants: TenantService,
        descendants: Offspring,
    ) -> None:
        self._db = db
        self._clock = clock
        self._keys = keys
        self._models = models
        self._tenants = tenants
        self._descendants = descendants

    async def keys(self, tenant: str) -> list[SigningKey]:
        """The keys a tenant signs with, or has signed with, newest first.

        Raises:
            NotFound: ``TENANT_001`` if there is no such tenant.
            Unavailable: ``STORE_001`` if the keys cannot be reached.
        """
        await self._tenants.get(tenant)  # a service may act for any name; no key is made for one that is no tenant
        policy = await asyncio.to_thread(self._keys.policy, tenant)
        return self._shown(policy)

    async def rotate(self, principal: Principal, *, overlap: timedelta | None, reason: str) -> list[SigningKey]:
        """Makes a new signing key; what the old one signed counts for ``overlap`` more, None: until it is revoked.

        Raises:
            Unavailable: ``STORE_001`` if the keys cannot be reached; nothing was changed then.
        """
        tenant, now = principal.tenant, self._clock.now()
        before = await asyncio.to_thread(self._keys.policy, tenant)
        not_after = None if overlap is None else now + overlap
        new: Signer = await asyncio.to_thread(lambda: self._keys.rotate(tenant, not_after=not_after))
        old = before.keys[-1].key_id
        change = _Change(
            action="signing.rotated",
            event="key.created",
            subject=f"signing-key/{new.key_id}",
            before={"key_id": old},
            after={"key_id": new.key_id, "old_not_after": None if not_after is None else rfc3339(not_after)},
        )
        await self._tell(principal, change, reason)
        _log.info("signing_key_rotated", tenant=tenant, old=old, new=new.key_id, by=principal.key_id)
        return self._shown(await asyncio.to_thread(self._keys.policy, tenant))

    async def revoke(self, principal: Principal, target: Target, *, reason: str) -> Revocation:
        """Revokes for ever: nothing signed by the key, or made of the digest in however many steps, is loaded any more.

        Raises:
            NotFound: ``KEY_001`` if the tenant never had such a signing key.
            ModelError: ``MODEL_001`` if the tenant has no such version.
            Unavailable: ``STORE_001`` if the keys cannot be reached; nothing was changed then.
        """
        tenant = principal.tenant
        if target.key_id is not None:
            change = await self._revoke_key(tenant, target.key_id)
            kind, name = "key", target.key_id
        else:
            subject, name = await self._digest(tenant, target)
            children = await self._descendants.of(tenant, name)
            await asyncio.to_thread(lambda: self._keys.revoke(tenant, digests=children | {name}))
            kind, facts = "digest", {"digest": name, **({"children": sorted(children)} if children else {})}
            change = _Change(
                action="version.revoked",
                event="version.revoked",
                subject=subject,
                before=facts | {"revoked": False},
                after=facts | {"revoked": True},
            )
        await self._tell(principal, change, reason)
        _log.warning("revoked", tenant=tenant, kind=kind, id=name, by=principal.key_id)
        policy = await asyncio.to_thread(self._keys.policy, tenant)
        return Revocation(kind=kind, id=name, serial=policy.serial)

    async def _revoke_key(self, tenant: str, key_id: str) -> _Change:
        policy = await asyncio.to_thread(self._keys.policy, tenant)
        if all(key.key_id != key_id for key in policy.keys):
            raise NotFound(ErrorCode.KEY_NOT_FOUND, f"There is no signing key {key_id!r}.", details={"key": key_id})
        await asyncio.to_thread(lambda: self._keys.revoke(tenant, keys=frozenset({key_id})))
        return _Change(
            action="signing.key_revoked",
            event="key.revoked",
            subject=f"signing-key/{key_id}",
            before={"key_id": key_id, "revoked": False},
            after={"key_id": key_id, "revoked": True},
        )

    async def _digest(self, tenant: str, target: Target) -> tuple[str, Digest]:
        """What history calls the target, and its digest."""
        if target.version is not None:
            model, number = target.version
            version = await self._models.version(tenant, model, number)
            return f"{model}@{number}", version.digest
        assert target.digest is not None  # one of the three is set
        return f"digest/{target.digest}", target.digest

    async def _tell(self, principal: Principal, change: _Change, reason: str) -> None:
        tenant, now = principal.tenant, self._clock.now()
        async with self._db.write(tenant) as session:
            await emit(
                session,
                tenant=tenant,
                kind=change.event,
                subject=change.subject,
                old=change.before,
                new=change.after,
                actor=principal.name,
                at=now,
            )
            await record(
                session,
                tenant=tenant,
                actor=principal.name,
                actor_key=principal.key_id,
                action=change.action,
                subject=change.subject,
                before=change.before,
                after=change.after,
                reason=reason,
                at=now,
            )

    def _shown(self, policy: TrustPolicy) -> list[SigningKey]:
        now = policy.present(self._clock.now())
        newest = policy.keys[-1].key_id
        return [_shown(key, policy, now=now, newest=newest) for key in reversed(policy.keys)]


def _shown(key: TrustedKey, policy: TrustPolicy, *, now: datetime, newest: str) -> SigningKey:
    revoked = key.key_id in policy.revoked_keys
    return SigningKey(
        key_id=key.key_id,
        algorithm=PublicKey.from_pem(key.public_key).algorithm,
        public_key=key.public_key,
        signs=key.key_id == newest and not revoked,
        trusted=not revoked and validity_error(key, now) is None,
        revoked=revoked,
        not_before=key.not_before,
        not_after=key.not_after,
    )
