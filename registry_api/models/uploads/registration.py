# SPDX-License-Identifier: Apache-2.0
"""Turns a complete upload into the model's next version.

The order is what makes a crash harmless: the files are in the store before anything else (and cannot leave it while the
upload is open, see :mod:`registry_api.storage.blobs`); the model is inspected outside any transaction; then one short
transaction takes the number, signs the manifest that names it, stores manifest and signature and writes every row. Killed
anywhere, either the whole version exists or none of it does. Completing twice, even at once, gives the same version.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from artifacts.digest import Digest, digest_bytes
from artifacts.keys.interface import KeyProvider
from artifacts.manifest import Manifest
from artifacts.signing.bundle import sign_manifest
from artifacts.signing.interface import Signer
from artifacts.stores.interface import BlobStore
from core.clock import Clock
from core.errors import Conflict, ErrorCode
from core.telemetry.logs import get_logger
from registry_api.db.session import Database, Session
from registry_api.http.auth import Principal
from registry_api.models.repository import ModelRepository, VersionRepository
from registry_api.models.service import raise_no_model
from registry_api.models.uploads.inspection import Inspection, ModelInspector
from registry_api.models.uploads.policy import model_file
from registry_api.models.uploads.repository import UploadRepository
from registry_api.models.uploads.service import UploadService, raise_not_open
from registry_api.models.uploads.values import Progress, Upload, UploadState
from registry_api.models.values import Stage, Variant, Version
from registry_api.tenancy.repository import lock_tenant

PRODUCER: Final = "furoshiki-registry"
SOURCE_DEVICE: Final = "cpu"

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """Where the signed form of a version lies, and who signed it."""

    digest: Digest  # of the manifest
    signature_digest: Digest
    key_id: str


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
        async with self._db.write() as session:
            version = await self._register(session, upload, inspection, signer, principal)
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

    async def _register(
        self, session: Session, upload: Upload, inspection: Inspection, signer: Signer, principal: Principal
    ) -> Version | None:
        """Everything that must happen together; None if another call completed the upload first."""
        uploads, now = UploadRepository(session, upload.tenant), self._clock.now()
        await lock_tenant(session, upload.tenant)
        if not await uploads.move(upload.id, before=UploadState.OPEN, after=UploadState.COMPLETED):
            return None
        number = await ModelRepository(session, upload.tenant).next_version(upload.model, now)
        if number is None:
            raise_no_model(upload.tenant, upload.model)
        manifest = _manifest(upload, number, inspection, now)
        data, signature = manifest.to_bytes(), sign_manifest(manifest, signer)
        signed = Signed(
            digest=await self._keep(upload.tenant, data),
            signature_digest=await self._keep(upload.tenant, signature),
            key_id=signer.key_id,
        )
        version = _version(manifest, inspection.precision, signed, created_by=principal.name)
        await VersionRepository(session, upload.tenant).add(version, created_by_key=principal.key_id)
        await uploads.set_version(upload.id, number)
        return version

    async def _keep(self, tenant: str, data: bytes) -> Digest:
        digest = digest_bytes(data)
        await self._store.put(tenant, _once(data), digest=digest, size=len(data))
        return digest

    async def _completed(self, upload: Upload) -> Version:
        if upload.version is None:
            raise_not_open(upload)
        async with self._db.read() as session:
            version = await VersionRepository(session, upload.tenant).get(upload.model, upload.version)
        assert version is not None  # written in the transaction that completed the upload
        return version


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


def _manifest(upload: Upload, number: int, inspection: Inspection, now: datetime) -> Manifest:
    return Manifest(
        kind="model",
        tenant=upload.tenant,
        model=upload.model,
        version=number,
        variant=f"{upload.format}-{inspection.precision}/{SOURCE_DEVICE}",
        format=upload.format,
        files=upload.files,
        signature=inspection.signature,
        parent=None,
        producer=PRODUCER,
        created_at=now,
        metadata=upload.metadata,
    )


def _version(manifest: Manifest, precision: str, signed: Signed, *, created_by: str) -> Version:
    source = Variant(
        name=manifest.variant,
        format=manifest.format,
        precision=precision,
        device=SOURCE_DEVICE,
        digest=signed.digest,
        signature_digest=signed.signature_digest,
        key_id=signed.key_id,
        size=manifest.size,
        source=True,
    )
    assert manifest.signature is not None  # put there by _manifest
    return Version(
        tenant=manifest.tenant,
        model=manifest.model,
        version=manifest.version,
        stage=Stage.DEVELOPMENT,
        format=manifest.format,
        digest=signed.digest,
        signature_digest=signed.signature_digest,
        key_id=signed.key_id,
        size=manifest.size,
        files=manifest.files,
        inputs=manifest.signature.inputs,
        outputs=manifest.signature.outputs,
        metadata=manifest.metadata,
        created_at=manifest.created_at,
        created_by=created_by,
        variants=(source,),
    )
