# SPDX-License-Identifier: Apache-2.0
"""What the tenant's chain says about stages: who moved what, what was in production when, and what was there before.

The chain is the only record of stage changes. ``cause`` in an entry's evidence tells a promotion from a rollback: a version
that was rolled back is not what the next rollback returns to.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Final

from registry_api.audit.entries import Entry
from registry_api.audit.repository import AuditRepository
from registry_api.db.session import Session
from registry_api.http.pagination import Listing, PageRequest
from registry_api.models.values import Stage
from registry_api.promotion.values import StageChange

STAGE_CHANGED: Final = "version.stage_changed"
_CHUNK: Final = 200


class Cause(StrEnum):
    """Why a version moved; the comment on each line is its meaning."""

    REQUEST = "request"  # somebody asked for this move
    REPLACED = "replaced"  # another version took its place in PRODUCTION
    ROLLBACK = "rollback"  # it is back in PRODUCTION because the one that replaced it was taken out


class StageHistory:
    """The stage changes of one tenant's models, read from its chain."""

    def __init__(self, session: Session, tenant: str) -> None:
        self._chain = AuditRepository(session, tenant)

    async def page(self, model: str, request: PageRequest) -> Listing[StageChange]:
        """Changes of a model's versions, newest first."""
        found = await self._chain.page(request, resource=model, action=STAGE_CHANGED)
        return Listing(items=tuple(map(stage_change, found.items)), next_cursor=found.next_cursor)

    async def production_at(self, model: str, moment: datetime) -> StageChange | None:
        """The change that put a version into PRODUCTION which was still there at ``moment``; None if none was."""
        skip = 0
        while True:
            entry = await self._chain.latest(model, STAGE_CHANGED, until=moment, skip=skip)
            if entry is None:
                return None
            change = stage_change(entry)
            if change.after is Stage.PRODUCTION:
                return change
            if change.before is Stage.PRODUCTION:
                return None
            skip += 1

    async def before_production(self, model: str, current: int | None) -> int | None:
        """The version a rollback returns to: the one in PRODUCTION before ``current``, or the last one if that is None."""
        changes: list[StageChange] = []
        cursor: int | None = None
        while True:
            request = PageRequest(limit=_CHUNK, after=None if cursor is None else (cursor,))
            found = await self._chain.page(request, resource=model, action=STAGE_CHANGED)
            changes += map(stage_change, found.items)
            if found.next_cursor is None:
                return _previous(reversed(changes), current)
            cursor = found.items[-1].seq


def _previous(changes: Iterable[StageChange], current: int | None) -> int | None:
    """Replays changes, oldest first. What was promoted lies on a stack; a rollback takes the top off."""
    stack: list[int] = []
    for change in changes:
        if change.after is not Stage.PRODUCTION:
            continue
        if change.cause == Cause.ROLLBACK and change.version in stack:
            del stack[stack.index(change.version) :]
        elif change.version in stack:
            stack.remove(change.version)
        stack.append(change.version)
    if current is not None and current in stack:
        del stack[stack.index(current) :]
    return stack[-1] if stack else None


def stage_change(entry: Entry) -> StageChange:
    """The stage change that an entry records."""
    event = entry.event
    evidence = dict(event.evidence or {})
    return StageChange(
        seq=entry.seq,
        tenant=event.tenant,
        model=event.subject.partition("@")[0],
        version=int(event.subject.partition("@")[2]),
        before=Stage((event.before or {})["stage"]),
        after=Stage((event.after or {})["stage"]),
        cause=evidence.get("cause", Cause.REQUEST),
        evidence=evidence,
        reason=event.reason,
        actor=event.actor,
        actor_key=event.actor_key,
        at=entry.at,
    )
