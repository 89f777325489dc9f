# SPDX-License-Identifier: Apache-2.0
"""Changes stages. Promotion, the demotion it causes, the history of both and their events are one transaction: no moment
has two versions in production, and nothing is in production that history does not know of.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from core.clock import Clock
from core.errors import Conflict, ErrorCode
from core.telemetry.logs import get_logger
from registry_api.db.session import Database, Session
from registry_api.http.access import Action
from registry_api.http.auth import Principal, check
from registry_api.http.pagination import Listing, PageRequest
from registry_api.models.repository import ModelRepository, VersionRepository
from registry_api.models.service import found_version, raise_no_model
from registry_api.models.values import Stage, Version
from registry_api.promotion.gatekeeper import Gatekeeper
from registry_api.promotion.gathering import Attempt, Checked
from registry_api.promotion.history import Cause, StageHistory
from registry_api.promotion.locking import lock_and_read
from registry_api.promotion.moving import Move, apply, demotion, raise_moved
from registry_api.promotion.policy import check_actor, check_servable, check_transition
from registry_api.promotion.repository import lock_model
from registry_api.promotion.values import StageChange

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """What somebody asked for."""

    principal: Principal
    version: Version  # as it was seen before the transaction
    after: Stage
    reason: str
    override: bool


class PromotionService:
    """Stages of the versions of the caller's tenant."""

    def __init__(self, db: Database, clock: Clock, gatekeeper: Gatekeeper) -> None:
        self._db = db
        self._clock = clock
        self._gatekeeper = gatekeeper

    async def change_stage(
        self, principal: Principal, model: str, version: int, after: Stage, reason: str, *, override: bool = False
    ) -> Version:
        """Moves a version; asking for the stage it is in changes nothing.

        Args:
            principal: Who moves it.
            model: The model.
            version: Its version.
            after: Where to.
            reason: Why.
            override: Move it in an emergency although gates are not met, if they permit that.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such version.
            Conflict: ``STATE_001`` if the table of transitions does not allow the move or nothing of it can be served,
                ``GATE_001`` if gates are not met, or it would enter production and its signature does not verify any more.
            AuthError: ``AUTH_003`` if the caller may not make it.
        """
        found = await self._found(principal.tenant, model, version)
        if found.stage is after:
            return found
        check_actor(principal, found.stage, after)
        check_transition(found.stage, after)
        check_servable(f"{found.tenant}/{model}@{version}", (each.format for each in found.variants), after)
        if after is Stage.PRODUCTION:
            await self._gatekeeper.require_signature(found)
        checked = await self._gatekeeper.check(found, after)
        wanted = _Wanted(principal=principal, version=found, after=after, reason=reason, override=override)
        async with self._db.write(principal.tenant) as session:
            moved = await self._change(session, wanted, checked)
        _log.info("stage_changed", tenant=found.tenant, model=model, version=version, before=found.stage, after=after)
        return moved

    async def rollback(self, principal: Principal, model: str, reason: str) -> Version:
        """Brings back the version that was in PRODUCTION before; the present one goes back to STAGING.

        Gates are not asked again: that version met them, and a rollback is for emergencies. Its signature is.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such model.
            Conflict: ``STATE_001`` if there is no such version or it left STAGING, ``GATE_001`` if its signature does
                not verify any more.
        """
        check(principal, Action.STAGES_PROMOTE)
        async with self._db.read(principal.tenant) as session:
            target, _ = await self._rollback_target(session, principal.tenant, model)
        await self._gatekeeper.require_signature(target)
        async with self._db.write(principal.tenant) as session:
            await lock_model(session, principal.tenant, model)
            again, current = await self._rollback_target(session, principal.tenant, model)
            if again.version != target.version:
                raise_moved()
            way = [] if current is None else [demotion(current, again, reason)]
            back = Move(
                version=again,
                after=Stage.PRODUCTION,
                cause=Cause.ROLLBACK,
                reason=reason,
                evidence={} if current is None else {"rolled_back": current.version},
            )
            await apply(session, principal, [*way, back], self._clock.now())
        _log.info("rolled_back", tenant=principal.tenant, model=model, version=target.version)
        return replace(again, stage=Stage.PRODUCTION)

    async def history(self, tenant: str, model: str, request: PageRequest) -> Listing[StageChange]:
        """Changes of a model's versions, newest first.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such model.
        """
        async with self._db.read(tenant) as session:
            await _require_model(session, tenant, model)
            return await StageHistory(session, tenant).page(model, request)

    async def production_at(self, tenant: str, model: str, moment: datetime) -> StageChange | None:
        """The change by which a version was in PRODUCTION at a moment: which, since when, by whom and why; None: none was.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such model.
        """
        async with self._db.read(tenant) as session:
            await _require_model(session, tenant, model)
            return await StageHistory(session, tenant).production_at(model, moment)

    async def _found(self, tenant: str, model: str, version: int) -> Version:
        async with self._db.read(tenant) as session:
            return await found_version(session, tenant, model, version)

    async def _change(self, session: Session, wanted: _Wanted, checked: Checked | None) -> Version:
        seen, after, principal = wanted.version, wanted.after, wanted.principal
        locked, found = await lock_and_read(session, seen.tenant, seen.model, seen.version)
        if found.stage is after:
            return found
        check_actor(principal, found.stage, after)
        check_transition(found.stage, after)
        attempt = Attempt(mover=principal, version=found, locked=locked, target=after)
        decided = await self._gatekeeper.admit(session, attempt, checked, override=wanted.override)
        moves = [Move(version=found, after=after, cause=Cause.REQUEST, reason=wanted.reason, evidence=decided)]
        versions = VersionRepository(session, seen.tenant)
        if after is Stage.PRODUCTION and (current := await versions.in_production(found.model)) is not None:
            moves.insert(0, demotion(current, found, wanted.reason))
        await apply(session, principal, moves, self._clock.now())
        return replace(found, stage=after)

    async def _rollback_target(self, session: Session, tenant: str, model: str) -> tuple[Version, Version | None]:
        """The version to bring back, and the one in PRODUCTION now."""
        await _require_model(session, tenant, model)
        versions = VersionRepository(session, tenant)
        current = await versions.in_production(model)
        number = await StageHistory(session, tenant).before_production(
            model, None if current is None else current.version
        )
        if number is None:
            raise Conflict(
                ErrorCode.STATE_CONFLICT,
                f"Model '{tenant}/{model}' has no earlier version in PRODUCTION to go back to.",
            )
        target = await versions.get(model, number)
        if target is None:
            raise Conflict(
                ErrorCode.STATE_CONFLICT,
                f"Version {number} was in PRODUCTION before, but is deleted. Restore it first, or promote another one.",
                details={"version": number},
            )
        if target.stage is not Stage.STAGING:
            raise Conflict(
                ErrorCode.STATE_CONFLICT,
                f"Version {number} was in PRODUCTION before, but is in {target.stage} now. Move it to STAGING first.",
                details={"version": number, "stage": target.stage},
            )
        return target, current


async def _require_model(session: Session, tenant: str, model: str) -> None:
    if await ModelRepository(session, tenant).get(model) is None:
        raise_no_model(tenant, model)
