# SPDX-License-Identifier: Apache-2.0
"""Reads and writes tenants and keys.

What crosses tenants does so because it comes before a tenant is known or stands above all of them: the look-up of a key by
its id when a credential is checked, the times of keys' last uses, and the list of tenants for the platform's administrators.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import or_, select, update
from sqlalchemy.exc import IntegrityError

from registry_api.db.session import Session
from registry_api.http.access import Role
from registry_api.http.pagination import Listing, PageRequest, listing
from registry_api.tenancy.tables import ApiKeyRow, TenantRow
from registry_api.tenancy.values import ApiKey, Limits, StoredKey, Tenant


async def lock_tenant(session: Session, tenant: str) -> None:
    """Makes writers who lock the same tenant follow one another, until the transaction ends.

    On SQLite there is nothing to do: a write transaction excludes all others from its start.
    """
    await session.execute(select(TenantRow.name).where(TenantRow.name == tenant).with_for_update(key_share=True))


class TenantRepository:
    """All tenants; only platform administrators and the first start use it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, tenant: Tenant) -> bool:
        """Writes a tenant; False if the name is taken."""
        try:
            async with self._session.begin_nested():
                self._session.add(
                    TenantRow(name=tenant.name, display_name=tenant.display_name, created_at=tenant.created_at)
                )
        except IntegrityError:
            return False
        return True

    async def get(self, name: str, *, lock: bool = False) -> Tenant | None:
        """The tenant of that name; ``lock`` keeps others from changing it until the transaction ends."""
        row = await self._session.get(TenantRow, name, with_for_update=lock or None)
        return None if row is None else _tenant(row)

    async def set_limits(self, name: str, limits: Limits) -> Tenant | None:
        """Replaces a tenant's limits; None if there is none of that name."""
        return await self._update(name, asdict(limits))

    async def set_features(self, name: str, features: Mapping[str, bool]) -> Tenant | None:
        """Replaces a tenant's features; None if there is none of that name."""
        return await self._update(name, {"features": dict(features)})

    async def _update(self, name: str, values: Mapping[str, object]) -> Tenant | None:
        row = await self._session.scalar(
            update(TenantRow).where(TenantRow.name == name).values(**values).returning(TenantRow)
        )
        return None if row is None else _tenant(row)

    async def page(self, request: PageRequest) -> Listing[Tenant]:
        """Tenants by name."""
        query = select(TenantRow).order_by(TenantRow.name).limit(request.limit + 1)
        if (after := request.position(str)) is not None:
            query = query.where(TenantRow.name > after[0])
        rows = (await self._session.scalars(query)).all()
        return listing([_tenant(row) for row in rows], request, lambda tenant: (tenant.name,))


class KeyRepository:
    """The keys of one tenant."""

    def __init__(self, session: Session, tenant: str) -> None:
        self._session = session
        self._tenant = tenant

    def add(self, key: ApiKey, secret_hash: str) -> None:
        """Writes a key; it must belong to this tenant."""
        assert key.tenant == self._tenant
        self._session.add(
            ApiKeyRow(
                id=key.id,
                tenant=key.tenant,
                name=key.name,
                roles=sorted(key.roles),
                secret_hash=secret_hash,
                created_at=key.created_at,
                created_by=key.created_by,
                expires_at=key.expires_at,
                revoked_at=key.revoked_at,
            )
        )

    async def page(self, request: PageRequest) -> Listing[ApiKey]:
        """Keys that were not revoked, by id."""
        query = select(ApiKeyRow).where(ApiKeyRow.tenant == self._tenant, ApiKeyRow.revoked_at.is_(None))
        if (after := request.position(str)) is not None:
            query = query.where(ApiKeyRow.id > after[0])
        rows: Sequence[ApiKeyRow] = (
            await self._session.scalars(query.order_by(ApiKeyRow.id).limit(request.limit + 1))
        ).all()
        return listing([_key(row) for row in rows], request, lambda key: (key.id,))

    async def revoke(self, key_id: str, at: datetime) -> None:
        """Revokes a key of this tenant."""
        await self._session.execute(
            update(ApiKeyRow).where(ApiKeyRow.tenant == self._tenant, ApiKeyRow.id == key_id).values(revoked_at=at)
        )

    async def get(self, key_id: str) -> ApiKey | None:
        """The key of that id, for a change of it; revoked or expired ones too."""
        row = await self._session.scalar(
            select(ApiKeyRow).where(ApiKeyRow.tenant == self._tenant, ApiKeyRow.id == key_id).with_for_update()
        )
        return None if row is None else _key(row)

    async def rotate(self, key_id: str, secret_hash: str, *, previous_until: datetime) -> ApiKey:
        """Gives a key of this tenant a new secret; the one it had works until then, the one before that no more."""
        row = await self._session.scalar(
            update(ApiKeyRow)
            .where(ApiKeyRow.tenant == self._tenant, ApiKeyRow.id == key_id)
            .values(secret_hash=secret_hash, previous_hash=ApiKeyRow.secret_hash, previous_until=previous_until)
            .returning(ApiKeyRow)
        )
        assert row is not None
        return _key(row)

    async def first_key(self, name: str) -> ApiKey | None:
        """The key of that name made at the first start, revoked or not; None if there never was one."""
        query = select(ApiKeyRow).where(
            ApiKeyRow.tenant == self._tenant, ApiKeyRow.created_by.is_(None), ApiKeyRow.name == name
        )
        row = (await self._session.scalars(query.limit(1))).one_or_none()
        return None if row is None else _key(row)


async def find_credential(session: Session, key_id: str) -> StoredKey | None:
    """The key of any tenant with that id, and the hashes of its secrets. For authentication only."""
    row = await session.get(ApiKeyRow, key_id)
    if row is None:
        return None
    return StoredKey(key=_key(row), secret_hash=row.secret_hash, previous_hash=row.previous_hash)


async def write_uses(session: Session, uses: Mapping[str, datetime]) -> None:
    """Writes when keys of any tenant were last used; what is written already and later stays."""
    for key_id, at in sorted(uses.items()):  # in one order, so that two processes do not wait for each other
        await session.execute(
            update(ApiKeyRow)
            .where(ApiKeyRow.id == key_id, or_(ApiKeyRow.last_used_at.is_(None), ApiKeyRow.last_used_at < at))
            .values(last_used_at=at)
        )


def _tenant(row: TenantRow) -> Tenant:
    return Tenant(
        name=row.name,
        display_name=row.display_name,
        created_at=row.created_at,
        limits=Limits(
            requests_per_second=row.requests_per_second,
            burst=row.burst,
            concurrent_requests=row.concurrent_requests,
            requests_per_hour=row.requests_per_hour,
            requests_per_day=row.requests_per_day,
        ),
        features=row.features or {},
    )


def _key(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        id=row.id,
        tenant=row.tenant,
        name=row.name,
        roles=frozenset(Role(role) for role in row.roles),
        created_at=row.created_at,
        created_by=row.created_by,
        expires_at=row.expires_at,
        revoked_at=row.revoked_at,
        last_used_at=row.last_used_at,
        previous_until=row.previous_until,
    )
