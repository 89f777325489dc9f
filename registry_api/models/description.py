# SPDX-License-Identifier: Apache-2.0
"""Makes models, and changes what may change of models and versions: description and tags."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from core.clock import Clock, rfc3339
from core.errors import Conflict, ErrorCode
from registry_api.db.session import Database
from registry_api.http.auth import Principal
from registry_api.http.etags import NO_PRECONDITION, Precondition
from registry_api.models.repository import ModelRepository, VersionRepository
from registry_api.models.schemas import ModelOut, VersionOut
from registry_api.models.service import raise_no_model
from registry_api.models.tags import replaced
from registry_api.models.values import Model, Version
from registry_api.webhooks.outbox import emit


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What is to be; None: as it was."""

    text: str | None = None
    tags: tuple[str, ...] | None = None


class DescriptionService:
    """Descriptions and tags of the caller's tenant. Each change is one event."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def create(self, principal: Principal, name: str, wanted: Description) -> Model:
        """Makes a model without versions.

        Raises:
            Conflict: ``MODEL_004`` if the name is taken, ``MODEL_005`` if by a model that was deleted.
            InvalidRequest: ``VALID_002`` if a tag breaks a rule.
        """
        now = self._clock.now()
        model = Model(
            tenant=principal.tenant,
            name=name,
            description=wanted.text or "",
            tags=replaced((), wanted.tags or ()),
            latest_version=None,
            production_version=None,
            created_at=now,
            updated_at=now,
        )
        async with self._db.write(principal.tenant) as session:
            models = ModelRepository(session, principal.tenant)
            if not await models.add(model):
                raise await _taken(models, principal.tenant, name)
            await emit(
                session,
                tenant=principal.tenant,
                kind="model.created",
                subject=name,
                old=None,
                new={"model": name, **_told(model)},
                actor=principal.name,
                at=now,
            )
        return model

    async def describe_model(
        self, principal: Principal, name: str, wanted: Description, match: Precondition = NO_PRECONDITION
    ) -> Model:
        """Changes a model's description or tags.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such model.
            Conflict: ``STATE_003`` if it is not as ``match`` says.
            InvalidRequest: ``VALID_002`` if a tag breaks a rule.
        """
        async with self._db.write(principal.tenant) as session:
            models = ModelRepository(session, principal.tenant)
            before = await models.get(name, lock=True)
            if before is None:
                raise_no_model(principal.tenant, name)
            match.check(ModelOut.of(before))
            after = replace(before, **_changes(before, wanted))
            if after == before:
                return before
            after = replace(after, updated_at=self._clock.now())
            await models.describe(after)
            await emit(
                session,
                tenant=principal.tenant,
                kind="model.updated",
                subject=name,
                old={"model": name, **_told(before)},
                new={"model": name, **_told(after)},
                actor=principal.name,
                at=after.updated_at,
            )
        return after

    async def describe_version(
        self,
        principal: Principal,
        name: str,
        version: int,
        wanted: Description,
        match: Precondition = NO_PRECONDITION,
    ) -> Version:
        """Changes a version's description or tags; its bytes, its manifest and its signature stay what they are.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such version.
            Conflict: ``STATE_003`` if it is not as ``match`` says.
            InvalidRequest: ``VALID_002`` if a tag breaks a rule.
        """
        async with self._db.write(principal.tenant) as session:
            await ModelRepository(session, principal.tenant).get(name, lock=True)
            versions = VersionRepository(session, principal.tenant)
            before = await versions.get(name, version)
            if before is None:
                raise_no_model(principal.tenant, f"{name}@{version}")
            match.check(VersionOut.of(before))
            after = replace(before, **_changes(before, wanted))
            if after == before:
                return before
            await versions.describe(after)
            about = {"model": name, "version": version}
            await emit(
                session,
                tenant=principal.tenant,
                kind="model.updated",
                subject=f"{name}@{version}",
                old={**about, **_told(before)},
                new={**about, **_told(after)},
                actor=principal.name,
                at=self._clock.now(),
            )
        return after


async def _taken(models: ModelRepository, tenant: str, name: str) -> Conflict:
    if await models.get(name) is not None:
        return Conflict(ErrorCode.MODEL_EXISTS, f"Model '{tenant}/{name}' exists already.")
    deleted = await models.get(name, deleted=True)
    if deleted is None or deleted.deletion is None:
        return Conflict(
            ErrorCode.MODEL_DELETED,
            f"Model '{tenant}/{name}' was deleted and is being purged. Its name is free in some minutes.",
        )
    until = rfc3339(deleted.deletion.purge_at)
    return Conflict(
        ErrorCode.MODEL_DELETED,
        f"Model '{tenant}/{name}' was deleted by {deleted.deletion.by!r} and holds its name until it is purged after "
        f"{until}. Restore it, or choose another name.",
        details={"model": name, "purge_at": until},
    )


def _changes(before: Model | Version, wanted: Description) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if wanted.text is not None:
        changes["description"] = wanted.text
    if wanted.tags is not None:
        changes["tags"] = replaced(before.tags, wanted.tags)
    return changes


def _told(shown: Model | Version) -> dict[str, Any]:
    return {"description": shown.description, "tags": list(shown.tags)}
