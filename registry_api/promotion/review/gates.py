# SPDX-License-Identifier: Apache-2.0
"""Sets gates and tells how far a version is from meeting them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from core.clock import Clock
from core.errors import Conflict, ErrorCode, InvalidRequest
from registry_api.audit.record import record
from registry_api.db.session import Database
from registry_api.http.auth import Principal
from registry_api.models.service import found_version
from registry_api.promotion.gate_schemas import GatesIn
from registry_api.promotion.gatekeeper import Gatekeeper
from registry_api.promotion.gates import Report
from registry_api.promotion.gathering import Attempt
from registry_api.promotion.repository import GatesRepository, find_version

GATES_CHANGED: Final = "gates.changed"
MAX_TARGETS: Final = 100  # of one tenant


class GateService:
    """The gates of the caller's tenant."""

    def __init__(self, db: Database, clock: Clock, gatekeeper: Gatekeeper) -> None:
        self._db = db
        self._clock = clock
        self._gatekeeper = gatekeeper

    async def all(self, tenant: str) -> Sequence[tuple[str, Mapping[str, Any]]]:
        """The rules of every target that has some, by target."""
        async with self._db.read(tenant) as session:
            return await GatesRepository(session, tenant).all()

    async def get(self, tenant: str, target: str) -> Mapping[str, Any]:
        """The rules of a target; those that ask for nothing if there are none."""
        async with self._db.read(tenant) as session:
            return await GatesRepository(session, tenant).get(target) or GatesIn().rules()

    async def put(self, principal: Principal, target: str, gates: GatesIn) -> Mapping[str, Any]:
        """Replaces the rules of a target.

        Raises:
            InvalidRequest: ``VALID_002`` if a gate of another distribution is asked for that cannot be used here.
            Conflict: ``STATE_001`` if the tenant has too many targets with rules.
        """
        self._check_plugins(gates.plugins)
        rules = gates.rules()
        async with self._db.write(principal.tenant) as session:
            known = GatesRepository(session, principal.tenant)
            before = await known.get(target)
            if before is None and len(await known.all()) >= MAX_TARGETS:
                raise Conflict(ErrorCode.STATE_CONFLICT, f"{MAX_TARGETS} targets have gates; that is the limit.")
            await known.put(target, rules, by=principal.name, at=self._clock.now())
            await record(
                session,
                tenant=principal.tenant,
                actor=principal.name,
                actor_key=principal.key_id,
                action=GATES_CHANGED,
                subject=f"gates@{target}",
                before=before,
                after=rules,
                reason="",
                at=self._clock.now(),
            )
        return rules

    def _check_plugins(self, names: Iterable[str]) -> None:
        usable = [name for name, found in self._gatekeeper.others.items() if found.reason is None]
        unknown = sorted(set(names) - set(usable))
        if unknown:
            raise InvalidRequest(
                ErrorCode.INVALID_FIELD,
                f"No gate {unknown[0]!r} can be used here; there are: {', '.join(sorted(usable)) or 'none'}.",
                details={"field": "plugins"},
            )

    async def readiness(self, principal: Principal, model: str, version: int, target: str) -> Report:
        """What lacks for the caller to move a version there now.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such version.
        """
        async with self._db.read(principal.tenant) as session:
            found = await found_version(session, principal.tenant, model, version)
        checked = await self._gatekeeper.checked(found)
        async with self._db.read(principal.tenant) as session:
            locked = await find_version(session, principal.tenant, model, version)
            attempt = Attempt(mover=principal, version=found, locked=locked, target=target)
            return await self._gatekeeper.report(session, attempt, checked)
