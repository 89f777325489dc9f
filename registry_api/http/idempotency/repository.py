# SPDX-License-Identifier: Apache-2.0
"""Reads and writes used keys, and puts a request's record into the transaction that has its effect.

The record is written by a listener of SQLAlchemy's ``before_commit``, so a service needs to know nothing of keys and cannot
forget them.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, event, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session as OrmSession

from core.errors import ErrorCode, NotFound, Unavailable
from registry_api.db.inserting import insert_into
from registry_api.db.scope import EVERY_TENANT, TENANT, ScopedSession
from registry_api.db.session import Session
from registry_api.http.idempotency.tables import IdempotencyRow
from registry_api.http.idempotency.values import PENDING, Answer, Keyed, Pending, Recorded

_SWEPT: Final = 1000  # rows of one transaction of the sweeper


class IdempotencyRepository:
    """The used keys of one tenant."""

    def __init__(self, session: Session, tenant: str) -> None:
        self._session = session
        self._tenant = tenant

    async def find(self, keyed: Keyed) -> Recorded | None:
        """The request that used the key; None if none did."""
        row = (await self._session.scalars(select(IdempotencyRow).where(*_same(keyed)))).one_or_none()
        if row is None:
            return None
        answer = None
        if row.status is not None:
            answer = Answer(status=row.status, headers=row.headers or {}, body=row.body or b"")
        return Recorded(fingerprint=row.fingerprint, applied_at=row.applied_at, answer=answer)

    async def keep(self, keyed: Keyed, answer: Answer | None, at: datetime) -> None:
        """Keeps an answer, and the record if the effect had no transaction that could hold it."""
        values: dict[str, Any] = {"status": None, "headers": None, "body": None}
        if answer is not None:
            values = {"status": answer.status, "headers": dict(answer.headers), "body": answer.body}
        changed = update(IdempotencyRow).where(*_same(keyed)).values(**values).returning(IdempotencyRow.tenant)
        if await self._session.scalar(changed) is None:
            self._session.add(_row(keyed, at, **values))

    async def forget(self, keyed: Keyed) -> None:
        """Removes a record."""
        await self._session.execute(delete(IdempotencyRow).where(*_same(keyed)))


async def forget_older(session: Session, than: datetime) -> int:
    """Removes some records of any tenant that are older; returns how many, 0 when there are none left."""
    old = select(IdempotencyRow.tenant, IdempotencyRow.route, IdempotencyRow.key_digest)
    found = (await session.execute(old.where(IdempotencyRow.applied_at < than).limit(_SWEPT))).all()
    for tenant, route, key_digest in found:
        await session.execute(
            delete(IdempotencyRow).where(
                IdempotencyRow.tenant == tenant, IdempotencyRow.route == route, IdempotencyRow.key_digest == key_digest
            )
        )
    return len(found)


async def tenants_above(session: Session, keys: int) -> list[str]:
    """The tenants that have more than so many records."""
    query = select(IdempotencyRow.tenant).group_by(IdempotencyRow.tenant).having(func.count() > keys)
    return list((await session.scalars(query)).all())


async def forget_oldest(session: Session, tenant: str, *, but: int) -> None:
    """Removes a tenant's records but the newest."""
    mine = IdempotencyRow.tenant == tenant
    newest = select(IdempotencyRow.applied_at).where(mine).order_by(IdempotencyRow.applied_at.desc())
    edge = await session.scalar(newest.offset(but - 1).limit(1))
    if edge is not None:
        await session.execute(delete(IdempotencyRow).where(mine, IdempotencyRow.applied_at < edge))


def _same(keyed: Keyed) -> tuple[ColumnElement[bool], ...]:
    return (
        IdempotencyRow.tenant == keyed.tenant,
        IdempotencyRow.route == keyed.route,
        IdempotencyRow.key_digest == keyed.key_digest,
    )


def _row(keyed: Keyed, at: datetime, **values: Any) -> IdempotencyRow:
    return IdempotencyRow(**_columns(keyed, at), **values)


def _columns(keyed: Keyed, at: datetime) -> dict[str, Any]:
    return {
        "tenant": keyed.tenant,
        "route": keyed.route,
        "key_digest": keyed.key_digest,
        "fingerprint": keyed.fingerprint,
        "applied_at": at,
    }


def _mine(session: OrmSession) -> Pending | None:
    pending = PENDING.get()
    if pending is None or not pending.open or pending.applied or session.in_nested_transaction():
        return None
    return pending if session.info[TENANT] in (EVERY_TENANT, pending.keyed.tenant) else None


def _before_commit(session: OrmSession) -> None:
    pending = _mine(session)
    if pending is None:
        return
    written = (
        insert_into(session, IdempotencyRow).values(**_columns(pending.keyed, pending.at)).on_conflict_do_nothing()
    )
    try:
        first = session.scalar(written.returning(IdempotencyRow.tenant)) is not None
    except IntegrityError:  # a service acts for a tenant that nobody made
        raise NotFound(ErrorCode.TENANT_NOT_FOUND, f"There is no tenant {pending.keyed.tenant!r}.") from None
    if not first:
        raise running()
    pending.written = True


def _after_commit(session: OrmSession) -> None:
    pending = _mine(session)
    if pending is not None and pending.written:
        pending.applied = True


def _after_rollback(session: OrmSession) -> None:
    pending = _mine(session)
    if pending is not None:
        pending.written = False


def running() -> Unavailable:
    """What a repeat is told while the first request has not ended."""
    return Unavailable(
        ErrorCode.IDEMPOTENCY_RUNNING,
        "A request with this Idempotency-Key is being carried out. Send the same request again to get its answer.",
        retry_after=1.0,
    )


event.listen(ScopedSession, "before_commit", _before_commit)
event.listen(ScopedSession, "after_commit", _after_commit)
event.listen(ScopedSession, "after_rollback", _after_rollback)
