# SPDX-License-Identifier: Apache-2.0
"""Declares uploads and receives their files.

What has arrived is what the tenant's blob store holds: there is no second record that a crash could leave wrong. An
interrupted file leaves nothing visible; sending it again is the way to restart, and what is there already is skipped. A large
file may be sent in parts, several at once; parts that are there are not sent again either.

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
from registry_api.models.uploads.joining import PartJoiner
from registry_api.models.uploads.policy import check_files
from registry_api.models.uploads.ranges import JOIN, span_of
from registry_api.models.uploads.repository import UploadRepository
from registry_api.models.uploads.values import Arrived, NewUpload, Progress, Upload, UploadState

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
        self,
        *,
        db: Database,
        store: BlobStore,
        clock: Clock,
        blobs: TenantBlobs,
        joiner: PartJoiner,
        limits: UploadLimits,
    ) -> None:
        self._db = db
        self._store = store
        self._blobs = blobs
        self._clock = clock
        self._joiner = joiner
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
        async with self._db.write(principal.tenant) as session:
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
        async with self._db.read(tenant) as session:
            upload = await UploadRepository(session, tenant).get(upload_id)
        if upload is None or (upload.state is not UploadState.COMPLETED and upload.expires_at <= self._clock.now()):
            raise NotFound(ErrorCode.UPLOAD_NOT_FOUND, f"There is no upload {upload_id!r}, or it expired. Start again.")
        return upload

    async def progress(self, upload: Upload) -> Progress:
        """Which files of an upload, and which parts of the others, have arrived."""
        turn = asyncio.Semaphore(_LOOKUPS)

        async def arrived(entry: FileEntry) -> Arrived:
            async with turn:
                return await self._arrived(upload.tenant, entry)

        found = await asyncio.gather(*(arrived(entry) for entry in upload.files))
        return Progress(upload=upload, files=tuple(found), part_bytes=self._joiner.part_bytes)

    async def receive(  # noqa: PLR0917
        self,
        tenant: str,
        upload_id: str,
        path: str,
        chunks: AsyncIterator[bytes],
        content_length: int | None,
        content_range: str | None = None,
    ) -> Arrived:
        """Takes one file's bytes, or one part of them, straight into the store; they are skipped when the file is there.

        Args:
            tenant: Whose upload it is.
            upload_id: Its id.
            path: The file.
            chunks: The request's body.
            content_length: Its announced length; None if the sender gave none.
            content_range: Which part it is; see :mod:`registry_api.models.uploads.ranges`.

        Raises:
            NotFound: ``UPLOAD_001``, or ``STORE_002`` if the upload declares no such file.
            Conflict: ``STATE_001`` if the upload is not open, ``UPLOAD_002`` if parts are missing.
            InvalidRequest: ``VALID_003`` or ``VALID_008`` if more or fewer bytes come than declared, ``VALID_001`` or
                ``VALID_002`` if the range is none.
            SignatureError: ``SIGN_004`` if they have another digest.
            Unavailable: ``STORE_004`` if the store is full.
        """
        upload = await self.get(tenant, upload_id)
        if upload.state is not UploadState.OPEN:
            raise_not_open(upload)
        entry = upload.file(path)
        if entry is None:
            raise NotFound(ErrorCode.BLOB_NOT_FOUND, f"Upload {upload_id!r} declares no file {path[:200]!r}.")
        span = None if content_range is None else span_of(content_range, entry, part_bytes=self._joiner.part_bytes)
        check_length(entry.size if span is None else span.size, content_length, path=path)
        if await self._has(tenant, entry):
            return Arrived(entry=entry, whole=True)
        if span is None or span == JOIN:
            await self._store_file(upload, entry, None if span == JOIN else chunks)
        else:
            bounded = guarded(chunks, declared=span.size, path=path, patience=self._patience(upload))
            await self._joiner.parts.put(tenant, entry.digest, span, bounded)
        return await self._arrived(tenant, entry)

    async def abort(self, tenant: str, upload_id: str) -> None:
        """Gives an upload up; doing it twice is the same as once. Its files and then itself are gone some time later.

        Raises:
            NotFound: ``UPLOAD_001`` if there is none.
            Conflict: ``STATE_001`` if it became a version.
        """
        async with self._db.write(tenant) as session:
            uploads = UploadRepository(session, tenant)
            await uploads.move(upload_id, before=UploadState.OPEN, after=UploadState.ABORTED)
        upload = await self.get(tenant, upload_id)
        if upload.state is UploadState.COMPLETED:
            raise_not_open(upload)

    def _patience(self, upload: Upload) -> Patience:
        return Patience(
            clock=self._clock,
            idle_seconds=self._limits.idle_seconds,
            expires_at=upload.expires_at,
            still_wanted=lambda: self._still_wanted(upload),
        )

    async def _still_wanted(self, upload: Upload) -> None:
        found = await self.get(upload.tenant, upload.id)
        if found.state is UploadState.ABORTED:
            raise_not_open(found)

    async def _store_file(self, upload: Upload, entry: FileEntry, chunks: AsyncIterator[bytes] | None) -> None:
        """Stores a file from its bytes, or from the parts that are there."""
        if chunks is None:
            await self._joiner.join(upload.tenant, entry)
        else:
            bounded = guarded(chunks, declared=entry.size, path=entry.path, patience=self._patience(upload))
            await self._store.put(upload.tenant, bounded, digest=entry.digest, size=entry.size)
        try:
            await self._still_wanted(upload)
        except FuroshikiError:  # given up meanwhile: whoever removed its blobs came too early for this one
            await self._blobs.discard(upload.tenant, (entry.digest,))
            raise

    async def _arrived(self, tenant: str, entry: FileEntry) -> Arrived:
        if await self._has(tenant, entry):
            return Arrived(entry=entry, whole=True)
        return Arrived(entry=entry, whole=False, parts=await self._joiner.numbers(tenant, entry))

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
