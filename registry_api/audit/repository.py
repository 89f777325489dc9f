# SPDX-License-Identifier: Apache-2.0
"""Reads a tenant's chain and appends to it. Nothing here changes or removes an entry."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import LargeBinary, Select, cast, select, update
from sqlalchemy.exc import IntegrityError

from artifacts.digest import Digest
from core.clock import rfc3339
from registry_api.audit.entries import GENESIS, Entry, Event, read_entry, resource_of
from registry_api.audit.tables import AuditCheckpointRow, AuditEntryRow, AuditHeadRow
from registry_api.db.session import Session
from registry_api.http.pagination import Listing, PageRequest, listing

_CHUNK = 500  # rows read at once when a whole chain is walked


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """An entry as the database holds it; nothing of it is believed."""

    seq: int
    at: str
    action: str
    resource: str
    hash: str
    document: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Where a chain ends."""

    tenant: str
    seq: int  # 0: it has no entry
    hash: Digest
    signed_seq: int  # up to where a checkpoint vouches; 0: nowhere


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredCheckpoint:
    """A signed checkpoint as the database holds it."""

    seq: int
    document: bytes


class AuditRepository:
    """The history of one tenant."""

    def __init__(self, session: Session, tenant: str) -> None:
        self._session = session
        self._tenant = tenant

    async def append(self, event: Event, at: datetime) -> Entry:
        """Writes the next entry. Its time is ``at``, or that of the entry before it if that is later.

        The end of the chain stays locked until the transaction ends.
        """
        assert event.tenant == self._tenant
        head = await self._advance(at)
        last = head.at.replace(microsecond=head.at.microsecond // 1000 * 1000)
        moment = max(at.replace(microsecond=at.microsecond // 1000 * 1000), last)
        entry = Entry(seq=head.seq, at=moment, event=event, previous=head.hash)
        document, digest = entry.document, entry.hash
        self._session.add(
            AuditEntryRow(
                tenant=self._tenant,
                seq=entry.seq,
                at=rfc3339(moment),
                action=event.action,
                resource=resource_of(event.subject),
                hash=digest,
                document=document,
            )
        )
        await self._session.flush()
        ends = update(AuditHeadRow).where(AuditHeadRow.tenant == self._tenant)
        await self._session.execute(ends.values(hash=digest, at=moment).execution_options(synchronize_session=False))
        return entry

    async def _advance(self, at: datetime) -> _Locked:
        """Takes the next number, with the hash and time of the entry before it."""
        step = (
            update(AuditHeadRow)
            .where(AuditHeadRow.tenant == self._tenant)
            .values(seq=AuditHeadRow.seq + 1)
            .returning(AuditHeadRow.seq, AuditHeadRow.hash, AuditHeadRow.at)
            .execution_options(synchronize_session=False)
        )
        found = (await self._session.execute(step)).one_or_none()
        if found is None:
            await self._begin(at)
            found = (await self._session.execute(step)).one()
        return _Locked(seq=found.seq, hash=found.hash, at=found.at)

    async def _begin(self, at: datetime) -> None:
        row = AuditHeadRow(tenant=self._tenant, seq=0, hash=GENESIS, at=at, signed_seq=0)
        try:
            async with self._session.begin_nested():
                self._session.add(row)
        except IntegrityError:
            return  # another transaction began the chain meanwhile

    async def head(self) -> Head:
        """Where the chain ends."""
        query = select(AuditHeadRow.seq, AuditHeadRow.hash, AuditHeadRow.signed_seq)
        row = (await self._session.execute(query.where(AuditHeadRow.tenant == self._tenant))).one_or_none()
        seq, digest, signed = (0, GENESIS, 0) if row is None else row
        return Head(tenant=self._tenant, seq=seq, hash=digest, signed_seq=signed)

    async def hash_at(self, seq: int) -> str | None:
        """The hash of an entry as stored; None if there is none of that number."""
        query = select(AuditEntryRow.hash).where(AuditEntryRow.tenant == self._tenant, AuditEntryRow.seq == seq)
        return await self._session.scalar(query)

    async def add_checkpoint(self, seq: int, document: bytes) -> None:
        """Writes a checkpoint, unless there is one of that place already."""
        known = select(AuditCheckpointRow.seq).where(
            AuditCheckpointRow.tenant == self._tenant, AuditCheckpointRow.seq == seq
        )
        if await self._session.scalar(known) is None:
            try:
                async with self._session.begin_nested():
                    self._session.add(AuditCheckpointRow(tenant=self._tenant, seq=seq, document=document))
            except IntegrityError:
                return  # another process signed the same end meanwhile
        reached = update(AuditHeadRow).where(AuditHeadRow.tenant == self._tenant, AuditHeadRow.signed_seq < seq)
        await self._session.execute(reached.values(signed_seq=seq).execution_options(synchronize_session=False))

    async def checkpoints(self) -> Sequence[StoredCheckpoint]:
        """Every checkpoint, in order."""
        query = select(AuditCheckpointRow.seq, AuditCheckpointRow.document)
        rows = await self._session.execute(
            query.where(AuditCheckpointRow.tenant == self._tenant).order_by(AuditCheckpointRow.seq)
        )
        return [StoredCheckpoint(seq=row.seq, document=row.document) for row in rows]

    async def records(self) -> AsyncIterator[Record]:
        """The whole chain as stored, in order, in constant memory. Bytes that are no text are shown, not stumbled over."""
        after = -(2**63)  # a number no entry has may be exactly what was tampered with
        while True:
            query = self._raw().where(AuditEntryRow.seq > after).order_by(AuditEntryRow.seq).limit(_CHUNK)
            rows = (await self._session.execute(query)).all()
            for seq, document, *texts in rows:
                at, action, resource, digest = (
                    text.decode(errors="replace") if isinstance(text, bytes) else str(text) for text in texts
                )
                yield Record(seq=seq, at=at, action=action, resource=resource, hash=digest, document=bytes(document))
            if len(rows) < _CHUNK:
                return
            after = rows[-1][0]

    def _raw(self) -> Select[*tuple[Any, ...]]:
        texts = (AuditEntryRow.at, AuditEntryRow.action, AuditEntryRow.resource, AuditEntryRow.hash)
        sqlite = (
            self._session.get_bind().dialect.name == "sqlite"
        )  # it lets text be no text, and then refuses to read it
        shown = [cast(text, LargeBinary) if sqlite else text for text in texts]
        return select(AuditEntryRow.seq, AuditEntryRow.document, *shown).where(AuditEntryRow.tenant == self._tenant)

    async def page(
        self, request: PageRequest, *, resource: str | None = None, action: str | None = None
    ) -> Listing[Entry]:
        """Entries newest first, of one resource or of one kind if wanted."""
        query = self._entries().order_by(AuditEntryRow.seq.desc()).limit(request.limit + 1)
        if resource is not None:
            query = query.where(AuditEntryRow.resource == resource)
        if action is not None:
            query = query.where(AuditEntryRow.action == action)
        if (after := request.position(int)) is not None:
            query = query.where(AuditEntryRow.seq < after[0])
        entries = [read_entry(document) for document in await self._session.scalars(query)]
        return listing(entries, request, lambda entry: (entry.seq,))

    async def latest(self, resource: str, action: str, *, until: datetime, skip: int = 0) -> Entry | None:
        """The newest entry of a resource and kind that was written not after ``until``.

        Args:
            resource: What stands before the @ of the subject.
            action: The kind.
            until: A moment, included.
            skip: So many of the newest are passed over.
        """
        query = (
            self._entries()
            .where(
                AuditEntryRow.resource == resource,
                AuditEntryRow.action == action,
                AuditEntryRow.at <= rfc3339(until),
            )
            .order_by(AuditEntryRow.seq.desc())
            .offset(skip)
            .limit(1)
        )
        document = await self._session.scalar(query)
        return None if document is None else read_entry(document)

    def _entries(self) -> Select[bytes]:
        return select(AuditEntryRow.document).where(AuditEntryRow.tenant == self._tenant)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Locked:
    seq: int
    hash: Digest
    at: datetime


async def heads_to_sign(session: Session) -> Sequence[Head]:
    """The ends of all tenants' chains that no checkpoint vouches for yet."""
    query = select(AuditHeadRow).where(AuditHeadRow.signed_seq < AuditHeadRow.seq).order_by(AuditHeadRow.tenant)
    return [
        Head(tenant=row.tenant, seq=row.seq, hash=row.hash, signed_seq=row.signed_seq)
        for row in await session.scalars(query)
    ]


async def tenants_with_history(session: Session) -> Sequence[str]:
    """Every tenant that has an entry, a head or a checkpoint, by name."""
    tables = (AuditEntryRow, AuditHeadRow, AuditCheckpointRow)
    return sorted({name for table in tables for name in await session.scalars(select(table.tenant).distinct())})
