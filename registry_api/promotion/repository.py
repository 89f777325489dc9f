# SPDX-License-Identifier: Apache-2.0
"""Gates, approvals and evidence of one tenant in the database."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Select, func, select, update

from artifacts.digest import Digest
from registry_api.db.session import Session
from registry_api.http.auth import Principal
from registry_api.http.pagination import Listing, PageRequest, listing
from registry_api.models.service import raise_no_model
from registry_api.models.tables import ModelRow, VersionRow
from registry_api.promotion.tables import ApprovalRow, EvidenceRow, GatesRow
from registry_api.promotion.values import Approval, Evidence


@dataclass(frozen=True, slots=True, kw_only=True)
class Locked:
    """A version whose model nobody else moves anything of until the transaction ends."""

    version_id: int
    model: str
    version: int
    author_key: str  # id of the API key that declared its files


async def lock_version(session: Session, tenant: str, model: str, version: int) -> Locked:
    """Locks a model and finds a version of it.

    Whoever moves stages or aliases does this first, so that movers of one model go one after another.

    Raises:
        ModelError: ``MODEL_001`` if the tenant has no such version.
    """
    await lock_model(session, tenant, model)
    return await find_version(session, tenant, model, version)


async def lock_model(session: Session, tenant: str, model: str) -> bool:
    """Keeps every other mover of that model out until the transaction ends; False if there is no such model.

    SQLite has one writer at a time and needs no lock.
    """
    query = select(ModelRow.id).where(ModelRow.tenant == tenant, ModelRow.name == model, ModelRow.deleted_at.is_(None))
    return await session.scalar(query.with_for_update()) is not None


async def find_version(session: Session, tenant: str, model: str, version: int) -> Locked:
    """A version's row id and author, without a lock.

    Raises:
        ModelError: ``MODEL_001`` if the tenant has no such version.
    """
    query = (
        select(VersionRow.id, VersionRow.created_by_key)
        .join(ModelRow, ModelRow.id == VersionRow.model_id)
        .where(ModelRow.tenant == tenant, ModelRow.name == model, ModelRow.deleted_at.is_(None))
        .where(VersionRow.version == version, VersionRow.deleted_at.is_(None))
    )
    row = (await session.execute(query)).one_or_none()
    if row is None:
        raise_no_model(tenant, f"{model}@{version}")
    return Locked(version_id=row.id, model=model, version=version, author_key=row.created_by_key)


class GatesRepository:
    """What one tenant asks for before a version may enter a stage or get an alias."""

    def __init__(self, session: Session, tenant: str) -> None:
        self._session = session
        self._tenant = tenant

    async def get(self, target: str) -> Mapping[str, Any] | None:
        """The rules of a target; None if there are none."""
        query = select(GatesRow.rules).where(GatesRow.tenant == self._tenant, GatesRow.target == target)
        return await self._session.scalar(query)

    async def all(self) -> Sequence[tuple[str, Mapping[str, Any]]]:
        """Every target with rules, by name."""
        query = select(GatesRow.target, GatesRow.rules).where(GatesRow.tenant == self._tenant)
        rows = await self._session.execute(query.order_by(GatesRow.target))
        return [(row.target, row.rules) for row in rows]

    async def put(self, target: str, rules: Mapping[str, Any], *, by: str, at: datetime) -> None:
        """Replaces the rules of a target."""
        row = await self._session.get(GatesRow, (self._tenant, target), with_for_update=True)
        if row is None:
            row = GatesRow(tenant=self._tenant, target=target)
            self._session.add(row)
        row.rules, row.updated_at, row.updated_by = dict(rules), at, by
        await self._session.flush()


class ApprovalRepository:
    """The approvals of one version."""

    def __init__(self, session: Session, tenant: str, version: Locked) -> None:
        self._session = session
        self._tenant = tenant
        self._version = version

    async def add(self, principal: Principal, target: str, digest: Digest, comment: str, at: datetime) -> Approval:
        """Writes an approval."""
        row = ApprovalRow(
            tenant=self._tenant,
            version_id=self._version.version_id,
            target=target,
            digest=digest,
            approver=principal.name,
            approver_key=principal.key_id,
            comment=comment,
            at=at,
            withdrawn_at=None,
        )
        self._session.add(row)
        await self._session.flush()
        return self._value(row)

    async def get(self, approval_id: int) -> Approval | None:
        """One approval of this version."""
        row = await self._session.scalar(self._query().where(ApprovalRow.id == approval_id))
        return None if row is None else self._value(row)

    async def standing(self, target: str, digest: Digest) -> tuple[Approval, ...]:
        """Approvals of one state for one target that were not withdrawn, oldest first."""
        query = self._query().where(
            ApprovalRow.target == target, ApprovalRow.digest == digest, ApprovalRow.withdrawn_at.is_(None)
        )
        return tuple(self._value(row) for row in await self._session.scalars(query.order_by(ApprovalRow.id)))

    async def page(self, request: PageRequest) -> Listing[Approval]:
        """Approvals of this version, newest first, withdrawn ones too."""
        query = self._query().order_by(ApprovalRow.id.desc()).limit(request.limit + 1)
        if (after := request.position(int)) is not None:
            query = query.where(ApprovalRow.id < after[0])
        rows = [self._value(row) for row in await self._session.scalars(query)]
        return listing(rows, request, lambda approval: (approval.id,))

    async def withdraw(self, approval_id: int, at: datetime) -> bool:
        """Withdraws an approval; False if it was withdrawn already."""
        change = (
            update(ApprovalRow)
            .where(
                ApprovalRow.tenant == self._tenant, ApprovalRow.id == approval_id, ApprovalRow.withdrawn_at.is_(None)
            )
            .values(withdrawn_at=at)
            .returning(ApprovalRow.id)
        )
        return await self._session.scalar(change.execution_options(synchronize_session=False)) is not None

    def _query(self) -> Select[ApprovalRow]:
        return select(ApprovalRow).where(
            ApprovalRow.tenant == self._tenant, ApprovalRow.version_id == self._version.version_id
        )

    def _value(self, row: ApprovalRow) -> Approval:
        return Approval(
            id=row.id,
            model=self._version.model,
            version=self._version.version,
            target=row.target,
            digest=row.digest,
            approver=row.approver,
            approver_key=row.approver_key,
            comment=row.comment,
            at=row.at,
            withdrawn_at=row.withdrawn_at,
        )


class EvidenceRepository:
    """The evidence about one version."""

    def __init__(self, session: Session, tenant: str, version: Locked) -> None:
        self._session = session
        self._tenant = tenant
        self._version = version

    async def add(self, evidence: Evidence) -> Evidence:
        """Writes a document; its id is given here."""
        row = EvidenceRow(
            tenant=self._tenant,
            version_id=self._version.version_id,
            kind=evidence.kind,
            digest=evidence.digest,
            content=json.dumps(dict(evidence.content), ensure_ascii=False),
            signature=evidence.signature.decode(),
            author=evidence.author,
            author_key=evidence.author_key,
            at=evidence.at,
        )
        self._session.add(row)
        await self._session.flush()
        return self._value(row)

    async def newest(self) -> Mapping[str, Evidence]:
        """The newest document of each kind."""
        latest = (
            select(func.max(EvidenceRow.id))
            .where(EvidenceRow.tenant == self._tenant, EvidenceRow.version_id == self._version.version_id)
            .group_by(EvidenceRow.kind)
        )
        rows = await self._session.scalars(self._query().where(EvidenceRow.id.in_(latest)))
        return {row.kind: self._value(row) for row in rows}

    async def count(self) -> int:
        """How many documents there are."""
        query = select(func.count()).where(
            EvidenceRow.tenant == self._tenant, EvidenceRow.version_id == self._version.version_id
        )
        return await self._session.scalar(query) or 0

    async def page(self, request: PageRequest) -> Listing[Evidence]:
        """Documents, newest first."""
        query = self._query().order_by(EvidenceRow.id.desc()).limit(request.limit + 1)
        if (after := request.position(int)) is not None:
            query = query.where(EvidenceRow.id < after[0])
        rows = [self._value(row) for row in await self._session.scalars(query)]
        return listing(rows, request, lambda evidence: (evidence.id,))

    def _query(self) -> Select[EvidenceRow]:
        return select(EvidenceRow).where(
            EvidenceRow.tenant == self._tenant, EvidenceRow.version_id == self._version.version_id
        )

    def _value(self, row: EvidenceRow) -> Evidence:
        return Evidence(
            id=row.id,
            model=self._version.model,
            version=self._version.version,
            kind=row.kind,
            digest=row.digest,
            content=json.loads(row.content),
            signature=row.signature.encode(),
            author=row.author,
            author_key=row.author_key,
            at=row.at,
        )
