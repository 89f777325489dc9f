# SPDX-License-Identifier: Apache-2.0
"""Makes moves between stages in one transaction: the rows, the events and the history of all of them, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NoReturn

from core.errors import Conflict, ErrorCode
from registry_api.audit.record import record
from registry_api.db.session import Session
from registry_api.http.auth import Principal
from registry_api.models.repository import VersionRepository
from registry_api.models.values import Stage, Version
from registry_api.promotion.history import STAGE_CHANGED, Cause
from registry_api.promotion.policy import REPLACED
from registry_api.webhooks.outbox import emit


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One version's way to another stage."""

    version: Version  # as it stands before
    after: Stage
    cause: Cause
    reason: str
    evidence: Mapping[str, Any]  # what it was decided on

    @property
    def subject(self) -> str:
        """What events and history call the version."""
        return f"{self.version.model}@{self.version.version}"


def demotion(current: Version, by: Version, reason: str) -> Move:
    """The way of a version that another one replaces in PRODUCTION."""
    return Move(
        version=current,
        after=REPLACED,
        cause=Cause.REPLACED,
        reason=f"replaced by version {by.version}: {reason}",
        evidence={"by": by.version},
    )


async def apply(session: Session, principal: Principal, moves: Sequence[Move], now: datetime) -> None:
    """Makes the moves in their order; history last, because it locks the tenant's chain.

    Raises:
        Conflict: ``STATE_001`` if a version does not stand where its move begins.
    """
    for move in moves:
        found = move.version
        versions = VersionRepository(session, found.tenant)
        if not await versions.set_stage(found.model, found.version, before=found.stage, after=move.after):
            raise_moved()
    for move in moves:
        await emit(
            session,
            tenant=move.version.tenant,
            kind=STAGE_CHANGED,
            subject=move.subject,
            old={"stage": move.version.stage},
            new={"stage": move.after, "cause": move.cause, "reason": move.reason},
            actor=principal.name,
            at=now,
        )
    for move in moves:
        await record(
            session,
            tenant=move.version.tenant,
            actor=principal.name,
            actor_key=principal.key_id,
            action=STAGE_CHANGED,
            subject=move.subject,
            before={"stage": move.version.stage},
            after={"stage": move.after},
            reason=move.reason,
            evidence={"digest": move.version.digest, "cause": move.cause, **move.evidence},
            at=now,
        )


def raise_moved() -> NoReturn:
    """Says that somebody was faster.

    Raises:
        Conflict: ``STATE_001``.
    """
    raise Conflict(ErrorCode.STATE_CONFLICT, "Somebody else moved the version meanwhile. Look and try again.")
