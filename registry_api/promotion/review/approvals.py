# SPDX-License-Identifier: Apache-2.0
"""Approvals. Each names the state it was given for; evidence, card or gates that change afterwards make it void.

Two-person rule: who declared the files of a version cannot approve it, whoever completed the upload. A person is an API key,
or somebody who logged in through the tenant's OpenID provider; who has several keys is several people to the registry, so
give people logins where this matters.
"""

from __future__ import annotations

from typing import Final

from artifacts.digest import Digest
from core.clock import Clock
from core.errors import AuthError, Conflict, ErrorCode, NotFound
from registry_api.audit.record import record
from registry_api.db.session import Database, Session
from registry_api.http.auth import Principal
from registry_api.http.pagination import Listing, PageRequest
from registry_api.models.service import found_version
from registry_api.models.values import Version
from registry_api.promotion.gatekeeper import Gatekeeper
from registry_api.promotion.gathering import Attempt, Checked
from registry_api.promotion.locking import lock_and_read
from registry_api.promotion.repository import ApprovalRepository, Locked, find_version, lock_version
from registry_api.promotion.values import Approval
from registry_api.webhooks.outbox import emit

APPROVED: Final = "version.approved"
WITHDRAWN: Final = "version.approval_withdrawn"


class ApprovalService:
    """The approvals of the caller's tenant."""

    def __init__(self, db: Database, clock: Clock, gatekeeper: Gatekeeper) -> None:
        self._db = db
        self._clock = clock
        self._gatekeeper = gatekeeper

    async def page(self, tenant: str, model: str, version: int, request: PageRequest) -> Listing[Approval]:
        """Approvals of a version, newest first.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such version.
        """
        async with self._db.read(tenant) as session:
            locked = await find_version(session, tenant, model, version)
            return await ApprovalRepository(session, tenant, locked).page(request)

    async def approve(
        self, principal: Principal, model: str, version: int, *, target: str, state: Digest, comment: str
    ) -> Approval:
        """Says yes to one state of a version; saying it again changes nothing.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such version.
            AuthError: ``AUTH_003`` if the caller declared its files.
            Conflict: ``STATE_001`` if the version is in another state than the one that was looked at.
        """
        async with self._db.read(principal.tenant) as session:
            found = await found_version(session, principal.tenant, model, version)
        checked = await self._gatekeeper.checked(found)
        async with self._db.write(principal.tenant) as session:
            locked = await lock_version(session, principal.tenant, model, version)
            _refuse_author(principal, locked)
            attempt = Attempt(mover=principal, version=found, locked=locked, target=target)
            standing = await self._standing(session, attempt, checked, state)
            own = next((given for given in standing if given.approver_key == principal.key_id), None)
            if own is not None:
                return own
            approvals = ApprovalRepository(session, principal.tenant, locked)
            given = await approvals.add(principal, target, state, comment, self._clock.now())
            await self._tell(session, principal, found, given, withdrawn=False)
        return given

    async def withdraw(self, principal: Principal, model: str, version: int, approval_id: int) -> Approval:
        """Takes one's own approval back; doing so again changes nothing.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such version.
            NotFound: ``GATE_002`` if the version has no such approval.
            AuthError: ``AUTH_003`` if it is somebody else's.
        """
        async with self._db.write(principal.tenant) as session:
            locked, found = await lock_and_read(session, principal.tenant, model, version)
            approvals = ApprovalRepository(session, principal.tenant, locked)
            given = await approvals.get(approval_id)
            if given is None:
                raise NotFound(
                    ErrorCode.APPROVAL_NOT_FOUND, f"Version '{model}@{version}' has no approval {approval_id}."
                )
            if given.approver_key != principal.key_id:
                raise AuthError(ErrorCode.AUTH_FORBIDDEN, f"Approval {approval_id} is {given.approver!r}'s, not yours.")
            if await approvals.withdraw(approval_id, self._clock.now()):
                await self._tell(session, principal, found, given, withdrawn=True)
            again = await approvals.get(approval_id)
        assert again is not None  # approvals are never removed
        return again

    async def _standing(
        self, session: Session, attempt: Attempt, checked: Checked, state: Digest
    ) -> tuple[Approval, ...]:
        """The approvals that the state has, if that is the version's state now."""
        report = await self._gatekeeper.report(session, attempt, checked)
        if report.findings.state != state:
            raise Conflict(
                ErrorCode.STATE_CONFLICT,
                "The version is not in the state that you looked at: evidence, card or gates changed since. "
                "Look at its readiness again.",
                details={"state": report.findings.state},
            )
        return report.findings.approvals

    async def _tell(
        self, session: Session, principal: Principal, version: Version, given: Approval, *, withdrawn: bool
    ) -> None:
        now = self._clock.now()
        facts = {"target": given.target, "state": given.digest}
        old, new = (facts, None) if withdrawn else (None, facts)
        subject = f"{version.model}@{version.version}"
        await emit(
            session,
            tenant=version.tenant,
            kind=APPROVED,
            subject=subject,
            old=old,
            new=new,
            actor=principal.name,
            at=now,
        )
        await record(
            session,
            tenant=version.tenant,
            actor=principal.name,
            actor_key=principal.key_id,
            action=WITHDRAWN if withdrawn else APPROVED,
            subject=subject,
            before=old,
            after=new,
            reason=given.comment,
            evidence={"digest": version.digest, "approval": given.id},
            at=now,
        )


def _refuse_author(principal: Principal, locked: Locked) -> None:
    if principal.key_id == locked.author_key:
        raise AuthError(
            ErrorCode.AUTH_FORBIDDEN,
            f"{principal.name!r} is the author of {locked.model}@{locked.version}; somebody else must approve it.",
        )
