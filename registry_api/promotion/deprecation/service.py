# SPDX-License-Identifier: Apache-2.0
"""Marks versions as deprecated. Callers of such a version learn of it in every answer; it goes on being served.

A mark is beside the stage: what is in PRODUCTION may be announced to go. Whoever may move the version may mark it.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from core.clock import Clock, rfc3339
from core.errors import ErrorCode, InvalidRequest
from registry_api.audit.record import record
from registry_api.db.session import Database
from registry_api.http.auth import Principal
from registry_api.models.values import Deprecation, Version
from registry_api.promotion.deprecation.repository import set_deprecation
from registry_api.promotion.locking import lock_and_read
from registry_api.promotion.policy import check_actor

DEPRECATED: Final = "version.deprecated"


class DeprecationService:
    """The marks of the caller's tenant's versions."""

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def deprecate(
        self, principal: Principal, model: str, version: int, *, sunset: datetime | None, message: str, reason: str
    ) -> Version:
        """Marks a version, or changes its mark; it stays deprecated since when it was first.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such version.
            InvalidRequest: ``VALID_002`` if the sunset is not in the future.
            AuthError: ``AUTH_003`` if the caller may not move such a version.
        """
        now = self._clock.now()
        if sunset is not None and sunset <= now:
            raise InvalidRequest(
                ErrorCode.INVALID_FIELD,
                f"The sunset {rfc3339(sunset)} is not in the future. Leave it out if it is not decided.",
                details={"field": "sunset"},
            )
        return await self._set(
            principal, model, version, Deprecation(since=now, sunset=sunset, message=message), reason
        )

    async def restore(self, principal: Principal, model: str, version: int, *, reason: str) -> Version:
        """Takes the mark away.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such version.
            AuthError: ``AUTH_003`` if the caller may not move such a version.
        """
        return await self._set(principal, model, version, None, reason)

    async def _set(
        self, principal: Principal, model: str, version: int, wanted: Deprecation | None, reason: str
    ) -> Version:
        async with self._db.write(principal.tenant) as session:
            locked, found = await lock_and_read(session, principal.tenant, model, version)
            check_actor(principal, found.stage, found.stage)
            before = found.deprecation
            if wanted is not None and before is not None:
                wanted = replace(wanted, since=before.since)
            if wanted == before:
                return found
            await set_deprecation(session, principal.tenant, locked, wanted)
            await record(
                session,
                tenant=principal.tenant,
                actor=principal.name,
                actor_key=principal.key_id,
                action=DEPRECATED,
                subject=f"{model}@{version}",
                before=_facts(before),
                after=_facts(wanted),
                reason=reason,
                evidence={"digest": found.digest},
                at=self._clock.now(),
            )
        return replace(found, deprecation=wanted)


def _facts(deprecation: Deprecation | None) -> dict[str, Any] | None:
    if deprecation is None:
        return None
    sunset = None if deprecation.sunset is None else rfc3339(deprecation.sunset)
    return {"since": rfc3339(deprecation.since), "sunset": sunset, "message": deprecation.message}
