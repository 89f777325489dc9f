# SPDX-License-Identifier: Apache-2.0
"""Changes stages. Promotion and the demotion it causes are one transaction: no moment has two versions in production."""

from __future__ import annotations

from dataclasses import replace

from core.clock import Clock
from core.errors import Conflict, ErrorCode
from core.telemetry.logs import get_logger
from registry_api.db.session import Database, Session
from registry_api.http.auth import Principal
from registry_api.http.pagination import Listing, PageRequest
from registry_api.models.repository import ModelRepository, VersionRepository
from registry_api.models.service import raise_no_model
from registry_api.models.values import Stage, Version
from registry_api.promotion.policy import REPLACED, check_actor, check_transition
from registry_api.promotion.repository import HistoryRepository
from registry_api.promotion.values import StageChange

_log = get_logger(__name__)


class PromotionService:
    """Stages of the versions of the caller's tenant."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def change_stage(self, principal: Principal, model: str, version: int, after: Stage, reason: str) -> Version:
        """Moves a version; asking for the stage it is in changes nothing.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such version.
            Conflict: ``STATE_001`` if the table of transitions does not allow the move.
            AuthError: ``AUTH_003`` if the caller may not make it.
        """
        async with self._db.write() as session:
            found = await VersionRepository(session, principal.tenant).get(model, version)
            if found is None:
                raise_no_model(principal.tenant, f"{model}@{version}")
            if found.stage is after:
                return found
            check_actor(principal, found.stage, after)
            check_transition(found.stage, after)
            if after is Stage.PRODUCTION:
                await self._demote_current(session, principal, found, reason)
            await self._move(session, principal, found, after, reason)
        _log.info("stage_changed", tenant=found.tenant, model=model, version=version, before=found.stage, after=after)
        return replace(found, stage=after)

    async def history(self, tenant: str, model: str, request: PageRequest) -> Listing[StageChange]:
        """Changes of a model's versions, newest first.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such model.
        """
        async with self._db.read() as session:
            if await ModelRepository(session, tenant).get(model) is None:
                raise_no_model(tenant, model)
            return await HistoryRepository(session, tenant).page(model, request)

    async def _demote_current(self, session: Session, principal: Principal, by: Version, reason: str) -> None:
        current = await VersionRepository(session, by.tenant).in_production(by.model)
        if current is not None:
            why = f"replaced by version {by.version}: {reason}"
            await self._move(session, principal, current, REPLACED, why)

    async def _move(self, session: Session, principal: Principal, found: Version, after: Stage, reason: str) -> None:
        versions = VersionRepository(session, found.tenant)
        if not await versions.set_stage(found.model, found.version, before=found.stage, after=after):
            raise Conflict(ErrorCode.STATE_CONFLICT, "Somebody else moved the version meanwhile. Look and try again.")
        change = StageChange(
            id=0,
            tenant=found.tenant,
            model=found.model,
            version=found.version,
            before=found.stage,
            after=after,
            reason=reason,
            actor=principal.name,
            actor_key=principal.key_id,
            at=self._clock.now(),
        )
        await HistoryRepository(session, found.tenant).add(change)
