# SPDX-License-Identifier: Apache-2.0
"""Reads and writes the uploads of one tenant; housekeeping goes through those of all tenants."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import selectinload

from artifacts.manifest import FileEntry
from registry_api.db.session import Session
from registry_api.models.uploads.tables import UploadFileRow, UploadRow
from registry_api.models.uploads.values import Upload, UploadState


class UploadRepository:
    """The uploads of one tenant."""

    def __init__(self, session: Session, tenant: str) -> None:
        self._session = session
        self._tenant = tenant

    async def add(self, upload: Upload, *, created_by_key: str) -> None:
        """Writes a new upload."""
        assert upload.tenant == self._tenant
        self._session.add(_row(upload, created_by_key))
        await self._session.flush()

    async def get(self, upload_id: str) -> Upload | None:
        """The upload of that id, in whatever state."""
        query = (
            select(UploadRow)
            .where(UploadRow.tenant == self._tenant, UploadRow.id == upload_id)
            .options(selectinload(UploadRow.files))
        )
        row = (await self._session.scalars(query)).one_or_none()
        return None if row is None else _upload(row)

    async def declared_by(self, upload_id: str) -> str:
        """Id of the key that declared an upload there is, and so of who says what its bytes are."""
        query = select(UploadRow.created_by_key).where(UploadRow.tenant == self._tenant, UploadRow.id == upload_id)
        return (await self._session.scalars(query)).one()

    async def count_open(self, now: datetime) -> int:
        """How many uploads are open at ``now``."""
        query = select(func.count()).select_from(UploadRow)
        query = query.where(
            UploadRow.tenant == self._tenant, UploadRow.state == UploadState.OPEN, UploadRow.expires_at > now
        )
        return await self._session.scalar(query) or 0

    async def move(self, upload_id: str, *, before: UploadState, after: UploadState) -> bool:
        """Changes the state; False if it is not ``before``. Of two who try, one succeeds."""
        moved = await self._session.scalar(
            update(UploadRow)
            .where(UploadRow.tenant == self._tenant, UploadRow.id == upload_id, UploadRow.state == before)
            .values(state=after)
            .returning(UploadRow.id)
        )
        return moved is not None

    async def set_version(self, upload_id: str, version: int) -> None:
        """Records what the upload became."""
        await self._session.execute(
            update(UploadRow).where(UploadRow.tenant == self._tenant, UploadRow.id == upload_id).values(version=version)
        )


async def give_up_expired(session: Session, now: datetime) -> int:
    """Moves every tenant's open uploads that expired to ABORTED; returns how many there were."""
    due = update(UploadRow).where(UploadRow.state == UploadState.OPEN, UploadRow.expires_at <= now)
    moved = await session.scalars(due.values(state=UploadState.ABORTED).returning(UploadRow.id))
    return len(moved.all())


async def next_given_up(session: Session) -> Upload | None:
    """Some tenant's upload in ABORTED; None if there is none."""
    query = select(UploadRow).where(UploadRow.state == UploadState.ABORTED).limit(1)
    row = (await session.scalars(query.options(selectinload(UploadRow.files)))).one_or_none()
    return None if row is None else _upload(row)


async def forget(session: Session, upload: Upload) -> None:
    """Removes the rows of an upload in ABORTED."""
    await session.execute(delete(UploadFileRow).where(UploadFileRow.upload_id == upload.id))
    await session.execute(delete(UploadRow).where(UploadRow.id == upload.id, UploadRow.state == UploadState.ABORTED))


def _row(upload: Upload, created_by_key: str) -> UploadRow:
    return UploadRow(
        id=upload.id,
        tenant=upload.tenant,
        model=upload.model,
        format=upload.format,
        labels=dict(upload.metadata),
        state=upload.state,
        version=upload.version,
        created_at=upload.created_at,
        created_by_key=created_by_key,
        expires_at=upload.expires_at,
        files=[
            UploadFileRow(position=at, tenant=upload.tenant, path=file.path, size=file.size, digest=file.digest)
            for at, file in enumerate(upload.files)
        ],
    )


def _upload(row: UploadRow) -> Upload:
    return Upload(
        id=row.id,
        tenant=row.tenant,
        model=row.model,
        format=row.format,
        files=tuple(FileEntry(path=file.path, size=file.size, digest=file.digest) for file in row.files),
        metadata=dict(row.labels),
        state=UploadState(row.state),
        version=row.version,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
