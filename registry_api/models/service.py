# SPDX-License-Identifier: Apache-2.0
"""Finds models, versions and their bytes."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import NoReturn

from artifacts.digest import Digest
from artifacts.manifest import MAX_MANIFEST_BYTES
from artifacts.signing.bundle import MAX_SIGNATURE_BYTES
from artifacts.stores.interface import BlobStore
from core.clock import Clock
from core.errors import ErrorCode, ModelError, NotFound, StoreError
from registry_api.db.session import Database, Session
from registry_api.http.pagination import Listing, PageRequest
from registry_api.models.repository import ModelRepository, VersionRepository, hold_version
from registry_api.models.search.values import EVERY_MODEL, ModelFilter
from registry_api.models.source import Source
from registry_api.models.values import Model, Stage, Version


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """Stored bytes on their way out."""

    digest: Digest
    size: int
    chunks: AsyncIterator[bytes]


class ModelService:
    """The models of the caller's tenant."""

    def __init__(self, db: Database, store: BlobStore, clock: Clock) -> None:
        self._db = db
        self._store = store
        self._clock = clock

    async def get(self, tenant: str, name: str) -> Model:
        """One model.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has none of that name.
        """
        async with self._db.read(tenant) as session:
            model = await ModelRepository(session, tenant).get(name)
        if model is None:
            raise_no_model(tenant, name)
        return model

    async def page(self, tenant: str, request: PageRequest, wanted: ModelFilter = EVERY_MODEL) -> Listing[Model]:
        """Models that fit, in the order asked for."""
        async with self._db.read(tenant) as session:
            return await ModelRepository(session, tenant).page(request, wanted)

    async def versions(
        self,
        tenant: str,
        name: str,
        request: PageRequest,
        *,
        stage: Stage | None = None,
        format: str | None = None,  # noqa: A002 - the API's word
        deleted: bool = False,
    ) -> Listing[Version]:
        """Versions of a model, newest first; None: of whatever stage or format. Deleted ones, or the others.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such model.
        """
        async with self._db.read(tenant) as session:
            if await ModelRepository(session, tenant).get(name) is None:
                raise_no_model(tenant, name)
            versions = VersionRepository(session, tenant)
            return await versions.page(name, request, stage=stage, format=format, deleted=deleted)

    async def version(self, tenant: str, name: str, version: int) -> Version:
        """One version.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such version.
        """
        async with self._db.read(tenant) as session:
            return await found_version(session, tenant, name, version)

    async def resolve(self, tenant: str, name: str, version: int | None = None, *, alias: str | None = None) -> Version:
        """The version a caller means: the one named or under the alias, else the one in PRODUCTION, else the newest.

        Raises:
            ModelError: ``MODEL_001`` if there is none.
        """
        if version is not None:
            return await self.version(tenant, name, version)
        async with self._db.read(tenant) as session:
            versions = VersionRepository(session, tenant)
            if alias is not None:
                found = await versions.under_alias(name, alias)
            else:
                found = await versions.in_production(name) or await versions.newest(name)
        if found is None:
            raise_no_model(tenant, name, "with a version" if alias is None else f"with an alias {alias!r}")
        return found

    async def manifest(self, version: Version) -> bytes:
        """The signed manifest's bytes, checked against their digest."""
        return await self._store.read(version.tenant, version.digest, limit=MAX_MANIFEST_BYTES)

    async def signature(self, version: Version) -> bytes:
        """The signature bundle's bytes, checked against their digest."""
        return await self._store.read(version.tenant, version.signature_digest, limit=MAX_SIGNATURE_BYTES)

    async def content(self, version: Version, path: str) -> Content:
        """One file of a version.

        Raises:
            NotFound: ``STORE_002`` if the version has no such file.
            StoreError: ``STORE_003`` if the store lost it.
        """
        entry = version.file(path)
        if entry is None:
            raise NotFound(
                ErrorCode.BLOB_NOT_FOUND,
                f"Version '{version.tenant}/{version.model}@{version.version}' has no file {path[:200]!r}.",
            )
        if await self._store.size(version.tenant, entry.digest) != entry.size:
            raise StoreError(ErrorCode.BLOB_CORRUPT, f"The stored file {path!r} is lost or damaged. Tell the operator.")
        return Content(digest=entry.digest, size=entry.size, chunks=self._store.stream(version.tenant, entry.digest))


async def found_version(session: Session, tenant: str, model: str, version: int) -> Version:
    """One version.

    Raises:
        ModelError: ``MODEL_001`` if the tenant has none of that number.
    """
    found = await VersionRepository(session, tenant).get(model, version)
    if found is None:
        raise_no_model(tenant, f"{model}@{version}")
    return found


async def hold(session: Session, source: Source) -> None:
    """Keeps what something is to be made from until the transaction ends.

    Raises:
        ModelError: ``MODEL_001`` if it was deleted since it was found.
    """
    if not await hold_version(session, source.tenant, source.model, source.version):
        raise_no_model(source.tenant, f"{source.model}@{source.version}")


def raise_no_model(tenant: str, name: str, having: str = "") -> NoReturn:
    """Says that the tenant has no such model or version.

    Raises:
        ModelError: ``MODEL_001``.
    """
    message = f"There is no model '{tenant}/{name}'" + (f" {having}." if having else ".")
    raise ModelError(ErrorCode.MODEL_NOT_FOUND, message)
