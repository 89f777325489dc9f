# SPDX-License-Identifier: Apache-2.0
"""Takes calibration data, signs it and finds it.

It is bounded in size, kept under a name of its model and never changed: the same bytes again are no change, other bytes are
a conflict. What is in it is checked where it is used, inside the converters' sandbox: names, datatypes and shapes against
the model, and that nothing in it is a pickle.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Final, NoReturn

from artifacts.digest import Digest, StreamingDigest
from artifacts.keys.interface import KeyProvider
from artifacts.signing.documents import sign_document
from artifacts.stores.interface import BlobStore
from core.clock import Clock
from core.errors import Conflict, ErrorCode, InvalidRequest, ModelError, NotFound
from registry_api.conversions.calibrations.repository import CalibrationRepository
from registry_api.conversions.calibrations.values import Calibration, calibration_claim
from registry_api.db.session import Database
from registry_api.http.auth import Principal
from registry_api.http.pagination import Listing, PageRequest
from registry_api.models.service import ModelService
from registry_api.models.transfer import upload_bytes
from registry_api.models.uploads.interface import TenantBlobs
from registry_api.tenancy.repository import lock_tenant

MAX_BYTES: Final = 64 << 20  # of one
MAX_SETS: Final = 100  # of one model
_MAGIC: Final = {".npz": b"PK\x03\x04", ".safetensors": b""}  # how the file begins, by suffix


class CalibrationService:
    """The calibration data of the caller's tenant.

    Args:
        db: Where calibration data is listed.
        store: Where its bytes are.
        keys: Signs it.
        clock: For times.
        models: Knows the tenant's models.
        blobs: Knows what a tenant may keep.
    """

    def __init__(
        self,
        db: Database,
        store: BlobStore,
        keys: KeyProvider,
        clock: Clock,
        *,
        models: ModelService,
        blobs: TenantBlobs,
    ) -> None:
        self._db = db
        self._store = store
        self._keys = keys
        self._clock = clock
        self._models = models
        self._blobs = blobs

    async def put(self, principal: Principal, model: str, name: str, chunks: AsyncIterator[bytes]) -> Calibration:
        """Keeps calibration data.

        Args:
            principal: Who sends it.
            model: Its model.
            name: A file name, ``*.npz`` or ``*.safetensors``.
            chunks: The bytes.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such model, ``MODEL_003`` if the bytes are not what the name says.
            Conflict: ``STATE_002`` if the model has other data of that name, ``STATE_001`` if it has too many.
            InvalidRequest: ``VALID_003`` if there are too many bytes.
            Overloaded: ``QUOTA_001`` if it is more than the tenant may keep.
        """
        await self._models.get(principal.tenant, model)
        data, digest = await _read(chunks)
        _check_begins(name, data)
        if (known := await self._known(principal.tenant, model, name, digest)) is not None:
            return known
        signer = await asyncio.to_thread(self._keys.signer, principal.tenant)
        claim = calibration_claim(principal.tenant, model, name, digest)
        signature = await asyncio.to_thread(sign_document, claim, signer)
        new = Calibration(
            tenant=principal.tenant,
            model=model,
            name=name,
            size=len(data),
            digest=digest,
            signature_digest=await upload_bytes(self._store, principal.tenant, signature),
            key_id=signer.key_id,
            created_at=self._clock.now(),
            created_by=principal.name,
        )
        await upload_bytes(self._store, principal.tenant, data)
        async with self._db.write(principal.tenant) as session:
            await lock_tenant(session, principal.tenant)
            for wanted in (data, signature):  # asks the store; from the lock on nobody removes them
                await upload_bytes(self._store, principal.tenant, wanted)
            repository = CalibrationRepository(session, principal.tenant)
            if await repository.count(model) >= MAX_SETS:
                raise Conflict(
                    ErrorCode.STATE_CONFLICT, f"Model {model!r} has {MAX_SETS} calibration sets, the most there may be."
                )
            if await repository.add(new):
                await self._blobs.admit(session, principal.tenant)
                return new
        return await self._known(principal.tenant, model, name, digest) or _raise_other(model, name)

    async def get(self, tenant: str, model: str, name: str) -> Calibration:
        """Calibration data by name.

        Raises:
            NotFound: ``CONVERT_001`` if the model has none of that name.
        """
        async with self._db.read(tenant) as session:
            found = await CalibrationRepository(session, tenant).get(model, name)
        if found is None:
            raise_no_calibration(model, name)
        return found

    async def page(self, tenant: str, model: str, request: PageRequest) -> Listing[Calibration]:
        """Calibration data of a model, newest first.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such model.
        """
        await self._models.get(tenant, model)
        async with self._db.read(tenant) as session:
            return await CalibrationRepository(session, tenant).page(model, request)

    async def _known(self, tenant: str, model: str, name: str, digest: Digest) -> Calibration | None:
        async with self._db.read(tenant) as session:
            found = await CalibrationRepository(session, tenant).get(model, name)
        if found is not None and found.digest != digest:
            _raise_other(model, name)
        return found


async def _read(chunks: AsyncIterator[bytes]) -> tuple[bytes, Digest]:
    data, digest = bytearray(), StreamingDigest()
    async for chunk in chunks:
        data += chunk
        digest.update(chunk)
        if len(data) > MAX_BYTES:
            raise InvalidRequest(
                ErrorCode.TOO_LARGE,
                f"Calibration data has at most {MAX_BYTES} bytes. Send fewer rows: 100 to 500 are enough.",
            )
    return bytes(data), digest.value


def _check_begins(name: str, data: bytes) -> None:
    suffix, magic = next((suffix, magic) for suffix, magic in _MAGIC.items() if name.endswith(suffix))
    if len(data) < 8 or not data.startswith(magic):  # safetensors: the length of its header
        raise ModelError(
            ErrorCode.MODEL_INVALID,
            f"The data of {name!r} is no {suffix} file; numpy.savez and safetensors write them.",
        )


def _raise_other(model: str, name: str) -> NoReturn:
    raise Conflict(
        ErrorCode.RESOURCE_EXISTS,
        f"Model {model!r} has other calibration data named {name!r}, which cannot be changed. Choose another name.",
        details={"calibration": name},
    )


def raise_no_calibration(model: str, name: str) -> NoReturn:
    """Says that a model has no such calibration data.

    Raises:
        NotFound: ``CONVERT_001``.
    """
    raise NotFound(
        ErrorCode.CONVERSION_NOT_FOUND,
        f"Model {model!r} has no calibration data {name[:100]!r}. Send it: furo convert --calibration FILE.",
    )
