# SPDX-License-Identifier: Apache-2.0
"""Declares uploads and receives their files.

What has arrived is what the tenant's blob store holds: there is no second record that a crash could leave wrong. An
interrupted file leaves nothing visible; sending it again is the way to restart, and what is there already is skipped.

An open upload keeps the blobs it declares, so "received" is a promise: it is asked of the store only after the declaration
was committed (:mod:`registry_api.storage.blobs` has the argument). Who gives an upload up gives its blobs up.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NoReturn

from artifacts.manifest import FileEntry
from artifacts.stores.interface import BlobStore
from core.clock import Clock
from core.errors import Conflict, ErrorCode, FuroshikiError, NotFound, Overloaded
from registry_api.db.session import Database
from registry_api.http.auth import Principal
from registry_api.models.repository import ModelRepository
from registry_api.models.service import raise_no_model
from registry_api.models.uploads.incoming import Patience, check_length, guarded
from registry_api.models.uploads.interface import TenantBlobs
from registry_api.models.uploads.policy import check_files
from registry_api.models.uploads.repository import UploadRepository
from registry_api.models.uploads.values import NewUpload, Progress, Upload, UploadState

_LOOKUPS: Final = 16  # store lookups at once for one upload
_QUOTA_RETRY_SECONDS: Final = 60.0


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadLimits:
    """What one tenant may send."""

    file_bytes: int
    files: int  # per upload
    total_bytes: int  # per upload
    open_uploads: int  # per tenant
    ttl: timedelta  # how long an upload stays open
    idle_seconds: float  # longest pause between two chunks


class UploadService:
    """The uploads of the caller's tenant."""

    def __init__(
        self, *, db: Database, store: BlobStore, clock: Clock, blobs: TenantBlobs, limits: UploadLimits
    ) -> None:
        self._db = db
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._limits = limits

    async def create(self, principal: Principal, wanted: NewUpload) -> Progress:
        """Declares an upload.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such model.
            InvalidRequest: ``VALID_002`` or ``VALID_003`` if the declaration breaks a rule or a limit.
            Overloaded: ``QUOTA_001`` if the tenant has too many open uploads, or keeps too many bytes.
        """
        limits, now = self._limits, self._clock.now()
        check_files(
            wanted.files,
            format=wanted.format,
            max_files=limits.files,
            max_bytes=limits.file_bytes,
            max_total=limits.total_bytes,
        )
        upload = _opened(principal.tenant, wanted, now, limits)
        async with self._db.write() as session:
            if await ModelRepository(session, principal.tenant).get(wanted.model) is None:
                raise_no_model(principal.tenant, wanted.model)
            uploads = UploadRepository(session, principal.tenant)
            if await uploads.count_open(now) >= limits.open_uploads:
                _too_many(limits.open_uploads)
            await uploads.add(upload, created_by_key=principal.key_id)
            await self._blobs.admit(session, principal.tenant)
        return await self.progress(upload)

    async def get(self, tenant: str, upload_id: str) -> Upload:
        """One upload.

        Raises:
            NotFound: ``UPLOAD_001`` if the tenant has none of that id, or it expired.
        """
        async with self._db.read() as session:
            upload = await UploadRepository(session, tenant).get(upload_id)
        if upload is None or (upload.state is not UploadState.COMPLETED and upload.expires_at <= self._clock.now()):
            raise NotFound(ErrorCode.UPLOAD_NOT_FOUND, f"There is no upload {upload_id!r}, or it expired. Start again.")
        return upload

    async def progress(self, upload: Upload) -> Progress:
        """Which files of an upload have arrived."""
        turn = asyncio.Semaphore(_LOOKUPS)

        async def arrived(entry: FileEntry) -> bool:
            async with turn:
                return await self._has(upload.tenant, entry)

        found = await asyncio.gather(*(arrived(entry) for entry in upload.files))
        paths = (entry.path for entry, there in zip(upload.files, found, strict=True) if there)
        return Progress(upload=upload, received=frozenset(paths))

    async def receive(
        self, tenant: str, upload_id: str, path: str, chunks: AsyncIterator[bytes], content_length: int | None
    ) -> FileEntry:
        """Takes one file's bytes straight into the store; they are skipped when it is there already.

        Raises:
            NotFound: ``UPLOAD_001``, or ``STORE_002`` if the upload declares no such file.
            Conflict: ``STATE_001`` if the upload is not open.
            InvalidRequest: ``VALID_003`` or ``VALID_008`` if more or fewer bytes come than declared.
            SignatureError: ``SIGN_004`` if they have another digest.
            Unavailable: ``STORE_004`` if the store is full.
        """
        upload = await self.get(tenant, upload_id)
        if upload.state is not UploadState.OPEN:
            raise_not_open(upload)
        entry = upload.file(path)
        if entry is None:
            raise NotFound(ErrorCode.BLOB_NOT_FOUND, f"Upload {upload_id!r} declares no file {path[:200]!r}.")
        check_length(entry.size, content_length, path=path)
        if not await self._has(tenant, entry):
            await self._store_file(upload, entry, chunks)
        return entry

    async def abort(self, tenant: str, upload_id: str) -> None:
        """Gives an upload up; doing it twice is the same as once. Its files and then itself are gone some time later.

        Raises:
            NotFound: ``UPLOAD_001`` if there is none.
            Conflict: ``STATE_001`` if it became a version.
        """
        async with self._db.write() as session:
            uploads = UploadRepository(session, tenant)
            await uploads.move(upload_id, before=UploadState.OPEN, after=UploadState.ABORTED)
        upload = await self.get(tenant, upload_id)
        if upload.state is UploadState.COMPLETED:
            raise_not_open(upload)

    async def _store_file(self, upload: Upload, entry: FileEntry, chunks: AsyncIterator[bytes]) -> None:
        async def still_wanted() -> None:
            found = await self.get(upload.tenant, upload.id)
            if found.state is UploadState.ABORTED:
                raise_not_open(found)

        patience = Patience(
            clock=self._clock,
            idle_seconds=self._limits.idle_seconds,
            expires_at=upload.expires_at,
            still_wanted=still_wanted,
        )
        bounded = guarded(chunks, declared=entry.size, path=entry.path, patience=patience)
        await self._store.put(upload.tenant, bounded, digest=entry.digest, size=entry.size)
        try:
            await still_wanted()
        except FuroshikiError:  # given up meanwhile: whoever removed its blobs came too early for this one
            await self._blobs.discard(upload.tenant, (entry.digest,))
            raise

    async def _has(self, tenant: str, entry: FileEntry) -> bool:
        """Whether the bytes are there. A blob of another length is damaged, or the declaration is wrong: both need a put."""
        return await self._store.size(tenant, entry.digest) == entry.size


def _opened(tenant: str, wanted: NewUpload, now: datetime, limits: UploadLimits) -> Upload:
    return Upload(
        id=uuid.uuid4().hex,
        tenant=tenant,
        model=wanted.model,
        format=wanted.format,
        files=wanted.files,
        metadata=wanted.metadata,
        state=UploadState.OPEN,
        version=None,
        created_at=now,
        expires_at=now + limits.ttl,
    )


def raise_not_open(upload: Upload) -> NoReturn:
    """Says that an upload takes no more changes.

    Raises:
        Conflict: ``STATE_001``.
    """
    raise Conflict(
        ErrorCode.STATE_CONFLICT,
        f"Upload {upload.id!r} is {upload.state}; only an open one can be changed.",
        details={"state": upload.state},
    )


def _too_many(limit: int) -> NoReturn:
    raise Overloaded(
        ErrorCode.QUOTA_EXCEEDED,
        f"The tenant has {limit} open uploads, the most allowed. Complete or delete some.",
        retry_after=_QUOTA_RETRY_SECONDS,
    )
