# SPDX-License-Identifier: Apache-2.0
"""Turns a complete upload into the model's next version.

The order is what makes a crash harmless: the files are in the store before anything else (and cannot leave it while the
upload is open, see :mod:`registry_api.storage.blobs`); the model is inspected, and the manifest signed and stored under the
number that is probably next, outside any transaction; then one short transaction takes the number, asks the store whether
manifest and signature are still there and writes every row. Was the number another one, the manifest is made anew. Killed
anywhere, either the whole version exists or none of it does. Completing twice, even at once, gives the same version.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final
from weakref import WeakValueDictionary

from artifacts.digest import digest_bytes
from artifacts.keys.interface import KeyProvider
from artifacts.signing.interface import Signer
from artifacts.stores.interface import BlobStore
from core.clock import Clock
from core.errors import Conflict, ErrorCode, Overloaded
from core.telemetry.logs import get_logger
from registry_api.db.session import Database, Session
from registry_api.http.auth import Principal
from registry_api.models.repository import ModelRepository, VersionRepository
from registry_api.models.service import found_version, raise_no_model
from registry_api.models.uploads.drafts import Draft, drafted
from registry_api.models.uploads.inspection import Inspection, ModelInspector
from registry_api.models.uploads.policy import model_file
from registry_api.models.uploads.repository import UploadRepository
from registry_api.models.uploads.service import UploadService, raise_not_open
from registry_api.models.uploads.telling import tell_registered
from registry_api.models.uploads.values import Progress, Upload, UploadState
from registry_api.models.values import Version
from registry_api.tenancy.repository import lock_tenant

_GUESSES: Final = 20  # of the next number; each is wrong only if another process registered one meanwhile

_log = get_logger(__name__)


class _AnotherNumber(Exception):
    """Another process registered a version in between; the draft's number is taken."""


class Registrar:
    """Completes uploads."""

    def __init__(
        self,
        *,
        db: Database,
        store: BlobStore,
        clock: Clock,
        keys: KeyProvider,
        uploads: UploadService,
        inspector: ModelInspector,
    ) -> None:
        self._db = db
        self._store = store
        self._clock = clock
        self._keys = keys
        self._uploads = uploads
        self._inspector = inspector
        self._lines: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def complete(self, principal: Principal, upload_id: str) -> Version:
        """Registers the next version, or returns the one this upload became already.

        Raises:
            NotFound: ``UPLOAD_001`` if the tenant has no such upload.
            Conflict: ``UPLOAD_002`` if files are missing, ``STATE_001`` if it was aborted.
            InvalidRequest: ``VALID_003`` if its files together are too large to be inspected.
            ModelError: ``MODEL_003`` if the runtime refuses the model; nothing is registered then.
            Overloaded: ``QUEUE_001`` if too many models wait to be inspected, of this tenant or of all.
        """
        upload = await self._uploads.get(principal.tenant, upload_id)
        if upload.state is not UploadState.OPEN:
            return await self._completed(upload)
        _check_complete(await self._uploads.progress(upload))
        model = model_file(upload.files, format=upload.format)
        inspection = await self._inspector.inspect(upload.tenant, upload.files, model=model)
        signer = await asyncio.to_thread(self._keys.signer, upload.tenant)
        version = await self._next(upload, inspection, signer, principal)
        if version is None:
            return await self._completed(await self._uploads.get(principal.tenant, upload_id))
        _log.info(
            "version_registered",
            tenant=version.tenant,
            model=version.model,
            version=version.version,
            digest=version.digest,
            key_id=version.key_id,
        )
        return version

    async def _next(
        self, upload: Upload, inspection: Inspection, signer: Signer, principal: Principal
    ) -> Version | None:
        """Registers the next version; None if another call completed the upload first."""
        line = self._lines.setdefault((upload.tenant, upload.model), asyncio.Lock())
        async with line:  # of this process, so that they do not guess the same number
            for _ in range(_GUESSES):
                draft = await self._drafted(upload, inspection, signer)
                try:
                    async with self._db.write(upload.tenant) as session:
                        return await self._register(session, upload, draft, principal)
                except _AnotherNumber:
                    continue
        raise Overloaded(
            ErrorCode.QUEUE_FULL,
            f"Too many versions of '{upload.tenant}/{upload.model}' are registered at once. Complete the upload again.",
            retry_after=1.0,
        )

    async def _drafted(self, upload: Upload, inspection: Inspection, signer: Signer) -> Draft:
        """Manifest and signature for the number that is probably next, in the store."""
        async with self._db.read(upload.tenant) as session:
            model = await ModelRepository(session, upload.tenant).get(upload.model)
        if model is None:
            raise_no_model(upload.tenant, upload.model)
        number = model.last_number + 1
        draft = await asyncio.to_thread(drafted, upload, number, inspection, signer, self._clock.now())
        await self._keep(upload.tenant, draft)
        return draft

    async def _register(self, session: Session, upload: Upload, draft: Draft, principal: Principal) -> Version | None:
        """Everything that must happen together; None if another call completed the upload first."""
        uploads, manifest = UploadRepository(session, upload.tenant), draft.manifest
        await lock_tenant(session, upload.tenant)
        if not await uploads.move(upload.id, before=UploadState.OPEN, after=UploadState.COMPLETED):
            return None
        number = await ModelRepository(session, upload.tenant).next_version(upload.model, manifest.created_at)
        if number is None:
            raise_no_model(upload.tenant, upload.model)
        if number != manifest.version:
            raise _AnotherNumber
        await self._keep(upload.tenant, draft)  # asks the store; from the lock on nobody removes them
        version = draft.version(created_by=principal.name)
        author = await uploads.declared_by(upload.id)  # not who completes it: digests say whose bytes they are
        await VersionRepository(session, upload.tenant).add(version, created_by_key=author)
        await uploads.set_version(upload.id, number)
        await tell_registered(session, version, actor=principal.name)
        return version

    async def _keep(self, tenant: str, draft: Draft) -> None:
        """Stores manifest and signature, unless they are there."""
        for data in (draft.data, draft.signature):
            await self._store.put(tenant, _once(data), digest=digest_bytes(data), size=len(data))

    async def _completed(self, upload: Upload) -> Version:
        if upload.version is None:
            raise_not_open(upload)
        async with self._db.read(upload.tenant) as session:
            return await found_version(session, upload.tenant, upload.model, upload.version)


async def _once(data: bytes) -> AsyncIterator[bytes]:
    yield data


def _check_complete(progress: Progress) -> None:
    if not progress.missing:
        return
    count = len(progress.missing)
    raise Conflict(
        ErrorCode.UPLOAD_INCOMPLETE,
        f"{count} of {len(progress.upload.files)} files have not arrived: send them, then complete the upload again.",
        details={"missing": list(progress.missing[:20]), "missing_count": count},
    )
