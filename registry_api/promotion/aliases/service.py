# SPDX-License-Identifier: Apache-2.0
"""Moves aliases. Whoever moves one says where it points now, so that two movers do not silently overwrite each other.

An alias with gates is protected: it needs what the gates ask for and, unless they name roles, whoever may promote.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from core.clock import Clock
from core.errors import Conflict, ErrorCode, ModelError
from registry_api.audit.record import record
from registry_api.db.session import Database, Session
from registry_api.http.auth import Principal
from registry_api.http.pagination import Listing, PageRequest
from registry_api.models.repository import ModelRepository
from registry_api.models.service import found_version, raise_no_model
from registry_api.promotion.aliases.repository import AliasRepository
from registry_api.promotion.gatekeeper import Gatekeeper
from registry_api.promotion.gathering import Attempt, Checked
from registry_api.promotion.locking import lock_and_read
from registry_api.promotion.repository import lock_model
from registry_api.promotion.values import Alias
from registry_api.webhooks.outbox import emit

ALIAS_MOVED: Final = "alias.moved"
MAX_ALIASES: Final = 100  # of one model


@dataclass(frozen=True, slots=True, kw_only=True)
class AliasMove:
    """What somebody asks for."""

    model: str
    name: str
    version: int
    expected: int | None  # the version it points at now; None: there is no such alias
    reason: str
    override: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moved:
    """What became of an alias."""

    subject: str
    before: int | None
    after: int | None
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)


class AliasService:
    """The aliases of the caller's tenant."""

    def __init__(self, db: Database, clock: Clock, gatekeeper: Gatekeeper) -> None:
        self._db = db
        self._clock = clock
        self._gatekeeper = gatekeeper

    async def page(self, tenant: str, model: str, request: PageRequest) -> Listing[Alias]:
        """Aliases of a model by name.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such model.
        """
        async with self._db.read(tenant) as session:
            if await ModelRepository(session, tenant).get(model) is None:
                raise_no_model(tenant, model)
            return await AliasRepository(session, tenant).page(model, request)

    async def move(self, principal: Principal, wanted: AliasMove) -> Alias:
        """Points an alias at a version; asking for where it points already changes nothing.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such version.
            Conflict: ``STATE_001`` if it does not point where the caller expects, ``GATE_001`` if gates are not met.
            AuthError: ``AUTH_003`` if it is protected and the caller may not move it.
        """
        async with self._db.read(principal.tenant) as session:
            found = await found_version(session, principal.tenant, wanted.model, wanted.version)
        checked = await self._gatekeeper.check(found, f"@{wanted.name}")
        async with self._db.write(principal.tenant) as session:
            return await self._move(session, principal, wanted, checked)

    async def remove(self, principal: Principal, model: str, name: str, *, expected: int, reason: str) -> None:
        """Removes an alias.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such alias.
            Conflict: ``STATE_001`` if it does not point where the caller expects.
            AuthError: ``AUTH_003`` if it is protected and the caller may not move it.
        """
        async with self._db.write(principal.tenant) as session:
            await lock_model(session, principal.tenant, model)
            aliases = AliasRepository(session, principal.tenant)
            current = await aliases.get(model, name)
            if current is None:
                raise ModelError(ErrorCode.MODEL_NOT_FOUND, f"There is no alias '{principal.tenant}/{model}@{name}'.")
            _check_expected(name, current, expected)
            await self._gatekeeper.check_mover(session, principal, f"@{name}")
            await aliases.remove(model, name)
            gone = _Moved(subject=f"{model}@{name}", before=current.version, after=None, reason=reason)
            await self._tell(session, principal, gone)

    async def _move(self, session: Session, principal: Principal, wanted: AliasMove, checked: Checked | None) -> Alias:
        tenant, model, name = principal.tenant, wanted.model, wanted.name
        locked, found = await lock_and_read(session, tenant, model, wanted.version)
        aliases = AliasRepository(session, tenant)
        current = await aliases.get(model, name)
        if current is not None and current.version == wanted.version:
            return current
        _check_expected(name, current, wanted.expected)
        await self._gatekeeper.check_mover(session, principal, f"@{name}")
        attempt = Attempt(mover=principal, version=found, locked=locked, target=f"@{name}")
        decided = await self._gatekeeper.admit(session, attempt, checked, override=wanted.override)
        now = self._clock.now()
        if current is None:
            await self._require_room(aliases, model)
            await aliases.add(name, locked, by=principal.name, at=now)
        else:
            await aliases.move(name, locked, by=principal.name, at=now)
        moved = _Moved(
            subject=f"{model}@{name}",
            before=None if current is None else current.version,
            after=wanted.version,
            reason=wanted.reason,
            evidence={"digest": found.digest, **decided},
        )
        await self._tell(session, principal, moved)
        return Alias(model=model, name=name, version=wanted.version, moved_at=now, moved_by=principal.name)

    async def _require_room(self, aliases: AliasRepository, model: str) -> None:
        if await aliases.count(model) >= MAX_ALIASES:
            raise Conflict(
                ErrorCode.STATE_CONFLICT, f"Model {model!r} has {MAX_ALIASES} aliases; that is the limit. Remove one."
            )

    async def _tell(self, session: Session, principal: Principal, moved: _Moved) -> None:
        now = self._clock.now()
        before, after = moved.before, moved.after
        old = None if before is None else {"version": before}
        new = None if after is None else {"version": after}
        await emit(
            session,
            tenant=principal.tenant,
            kind=ALIAS_MOVED,
            subject=moved.subject,
            old=old,
            new=new,
            actor=principal.name,
            at=now,
        )
        await record(
            session,
            tenant=principal.tenant,
            actor=principal.name,
            actor_key=principal.key_id,
            action=ALIAS_MOVED,
            subject=moved.subject,
            before=old,
            after=new,
            reason=moved.reason,
            evidence=moved.evidence or None,
            at=now,
        )


def _check_expected(name: str, current: Alias | None, expected: int | None) -> None:
    got = None if current is None else current.version
    if got != expected:
        stands = "does not exist" if got is None else f"points at version {got}"
        wanted = "it not to exist" if expected is None else f"version {expected}"
        raise Conflict(
            ErrorCode.STATE_CONFLICT,
            f"Alias @{name} {stands}; expected {wanted}. Look again, then say what you expect.",
            details={"current": got, "expected": expected},
        )
