# SPDX-License-Identifier: Apache-2.0
"""Deletes versions and models softly, and restores them.

A deletion hides: rows and blobs stay, and every list, look-up and resolution passes over them, so processes that remember
answers forget these as they do when an alias moves. What is used is not deleted (:mod:`registry_api.deletion.policy`). A
number is never given again, nor is a model's name while the model can be restored.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from core.clock import Clock
from core.telemetry.logs import get_logger
from registry_api.db.session import Database, Session
from registry_api.deletion.policy import check_unused
from registry_api.deletion.repository import DeletionRepository
from registry_api.deletion.telling import Told, evidence_of, facts, tell
from registry_api.http.auth import Principal
from registry_api.http.etags import NO_PRECONDITION, Precondition
from registry_api.models.repository import ModelRepository, VersionRepository
from registry_api.models.schemas import ModelOut, VersionOut
from registry_api.models.service import raise_no_model
from registry_api.models.values import Deletion, Model, Version

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Why:
    """Who wants it, and why."""

    principal: Principal
    reason: str
    match: Precondition = NO_PRECONDITION  # what the caller says it is like


class DeletionService:
    """Deletions of the caller's tenant.

    Args:
        db: Where rows are.
        clock: For the time of a deletion.
        retention: For how long what is deleted from now on can be restored; zero: until the next sweep.
    """

    def __init__(self, db: Database, clock: Clock, *, retention: timedelta) -> None:
        self._db = db
        self._clock = clock
        self._retention = retention

    async def delete_version(self, why: Why, model: str, version: int) -> Version:
        """Deletes a version; what it is now.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such version.
            Conflict: ``STATE_003`` if it is not as the caller says, ``STATE_004`` if it is used.
        """
        tenant = why.principal.tenant
        async with self._db.write(tenant) as session:
            rows = DeletionRepository(session, tenant)
            model_id = await rows.lock(model)
            found = await VersionRepository(session, tenant).get(model, version)
            if model_id is None or found is None:
                raise_no_model(tenant, f"{model}@{version}")
            why.match.check(VersionOut.of(found))
            check_unused(f"{tenant}/{model}@{version}", await rows.uses(model_id, version))
            return await self._mark_version(session, why, model_id, found, self._deletion(why))

    async def restore_version(self, why: Why, model: str, version: int) -> Version:
        """Brings a deleted version back, as long as it is not purged; it stands in the stage it stood in.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such deleted version, or its model is deleted too.
            Conflict: ``STATE_003`` if it is not as the caller says.
        """
        tenant = why.principal.tenant
        async with self._db.write(tenant) as session:
            model_id = await DeletionRepository(session, tenant).lock(model)
            found = await VersionRepository(session, tenant).get(model, version, deleted=True)
            if model_id is None or found is None:
                raise_no_model(tenant, f"{model}@{version}", "that is deleted and can be restored")
            why.match.check(VersionOut.of(found))
            return await self._mark_version(session, why, model_id, found, None)

    async def delete_model(self, why: Why, model: str) -> Model:
        """Deletes a model with all its versions; what it is now.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such model.
            Conflict: ``STATE_003`` if it is not as the caller says, ``STATE_004`` if a version of it is used.
        """
        tenant = why.principal.tenant
        async with self._db.write(tenant) as session:
            rows = DeletionRepository(session, tenant)
            model_id = await rows.lock(model)
            found = await ModelRepository(session, tenant).get(model)
            if model_id is None or found is None:
                raise_no_model(tenant, model)
            why.match.check(ModelOut.of(found))
            check_unused(f"{tenant}/{model}", await rows.uses(model_id))
            return await self._mark_model(session, why, model_id, found, self._deletion(why))

    async def restore_model(self, why: Why, model: str) -> Model:
        """Brings a deleted model back, as long as it is not purged; versions that were deleted before it stay deleted.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such deleted model.
            Conflict: ``STATE_003`` if it is not as the caller says.
        """
        tenant = why.principal.tenant
        async with self._db.write(tenant) as session:
            model_id = await DeletionRepository(session, tenant).lock(model)
            found = await ModelRepository(session, tenant).get(model, deleted=True)
            if model_id is None or found is None:
                raise_no_model(tenant, model, "that is deleted and can be restored")
            why.match.check(ModelOut.of(found))
            return await self._mark_model(session, why, model_id, found, None)

    def _deletion(self, why: Why) -> Deletion:
        now = self._clock.now()
        return Deletion(at=now, by=why.principal.name, reason=why.reason, purge_at=now + self._retention)

    async def _mark_version(
        self, session: Session, why: Why, model_id: int, found: Version, deletion: Deletion | None
    ) -> Version:
        now = self._clock.now()
        rows = DeletionRepository(session, found.tenant)
        await rows.mark_version(model_id, found.version, deletion, at=now)
        marked = replace(found, deletion=deletion)
        await self._tell(session, why, "version", found, marked)
        return marked

    async def _mark_model(
        self, session: Session, why: Why, model_id: int, found: Model, deletion: Deletion | None
    ) -> Model:
        await DeletionRepository(session, found.tenant).mark_model(model_id, deletion)
        marked = replace(found, deletion=deletion)
        await self._tell(session, why, "model", found, marked)
        return marked

    async def _tell(
        self, session: Session, why: Why, kind: str, before: Version | Model, after: Version | Model
    ) -> None:
        subject = before.name if isinstance(before, Model) else f"{before.model}@{before.version}"
        action = f"{kind}.restored" if after.deletion is None else f"{kind}.deleted"
        told = Told(
            tenant=before.tenant,
            action=action,
            subject=subject,
            before=facts(before.deletion),
            after=facts(after.deletion),
            reason=why.reason,
            evidence=evidence_of(before),
            actor=why.principal.name,
            actor_key=why.principal.key_id,
        )
        await tell(session, told, at=self._clock.now())
        _log.info(action.replace(".", "_"), tenant=before.tenant, subject=subject, by=why.principal.key_id)
