# SPDX-License-Identifier: Apache-2.0
"""A client of image registries: everything that is pushed, pulled, listed and deleted, by digest.

    async with Registry("registry.example", access) as registry:
        repository = registry.repository("acme/digits")
        fetched = await repository.fetch("v3")

Follows the OCI distribution specification v1.1. What it keeps: bytes that came are checked against their digest before they
are used or visible; bytes that are there do not travel; a cut transfer goes on; memory does not grow with a blob; credentials
reach nobody but the registry and its token server. Whole images are copied by :mod:`artifacts.oci.copying`.
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import BinaryIO, Self

import httpx

from artifacts.digest import Digest, parse_digest
from artifacts.oci import manifests
from artifacts.oci.access import Access
from artifacts.oci.connection import Ask, Connection
from artifacts.oci.descriptor import Descriptor
from artifacts.oci.documents import MAX_DOCUMENT_BYTES
from artifacts.oci.downloads import download, read_blob
from artifacts.oci.layout import Layout
from artifacts.oci.manifests import Fetched, Stored
from artifacts.oci.reference import check_host, check_repository
from artifacts.oci.sending import Watch, blob_path
from artifacts.oci.uploads import Upload, blob_size, upload
from core.clock import Clock, SystemClock

__all__ = ["Access", "Fetched", "Registry", "Repository", "Stored", "Upload"]


class Registry:
    """One registry. Ends its connections with the ``async with`` block, or by :meth:`close`.

    Args:
        host: Of the registry: "registry.example:5000".
        access: TLS, credentials, patience; None: anonymous, over TLS unless it is on this machine.
        clock: For the lifetimes of tokens; None: the machine's.
        transport: Carries requests; None: the network.

    Raises:
        InvalidRequest: ``VALID_002`` if ``host`` is none.
    """

    def __init__(
        self,
        host: str,
        access: Access | None = None,
        *,
        clock: Clock | None = None,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.host = check_host(host)
        self._connection = Connection(host, access or Access(), clock=clock or SystemClock(), transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Ends every connection; may be called twice."""
        await self._connection.close()

    async def ping(self) -> None:
        """Checks that it answers, speaks the protocol and accepts the credentials.

        Raises:
            Unavailable: ``OCI_001`` if patience ended.
            ImageRegistryError: ``OCI_002`` if it does not accept the credentials, ``OCI_004``.
            NotFound: ``OCI_003`` if it is no image registry.
        """
        await self._connection.ask(Ask(method="GET", url="/v2/", what="whether it is an image registry"), 200)

    def repository(self, name: str) -> Repository:
        """One repository of it, which need not exist.

        Raises:
            InvalidRequest: ``VALID_002`` if ``name`` cannot be one.
        """
        return Repository(self._connection, check_repository(name))


class Repository:
    """One repository. Made by :meth:`Registry.repository`.

    Every method raises ``OCI_001`` (Unavailable) if patience ended, ``OCI_002`` (ImageRegistryError) if the registry does not
    accept the credentials or not for this, and ``OCI_004`` (ImageRegistryError) if it refuses for another reason.
    """

    def __init__(self, connection: Connection, name: str) -> None:
        self.connection = connection
        self.name = name

    async def blob_size(self, digest: Digest) -> int | None:
        """Bytes of a blob; None if it is not there."""
        return await blob_size(self.connection, self.name, parse_digest(digest))

    async def push_blob(
        self,
        descriptor: Descriptor,
        opened: Callable[[], BinaryIO],
        *,
        mount_from: tuple[str, ...] = (),
        watch: Watch = lambda _: None,
    ) -> Upload:
        """Brings a blob here; see :func:`artifacts.oci.uploads.upload`."""
        return await upload(self.connection, self.name, descriptor, opened, mount_from=mount_from, watch=watch)

    async def pull_blob(self, descriptor: Descriptor, layout: Layout, *, watch: Watch = lambda _: None) -> int:
        """Brings a blob into a layout; see :func:`artifacts.oci.downloads.download`."""
        return await download(self.connection, self.name, descriptor, layout, watch=watch)

    async def read_blob(self, descriptor: Descriptor, *, limit: int = MAX_DOCUMENT_BYTES) -> bytes:
        """The whole of a small blob, checked; see :func:`artifacts.oci.downloads.read_blob`."""
        return await read_blob(self.connection, self.name, descriptor, limit=limit)

    async def delete_blob(self, digest: Digest) -> None:
        """Removes a blob; does nothing if it is not there."""
        url = blob_path(self.name, parse_digest(digest))
        await manifests.remove(self.connection, url, f"delete blob {digest}", self.name)

    async def fetch(self, reference: str) -> Fetched:
        """A manifest by digest or by tag; see :func:`artifacts.oci.manifests.fetch`."""
        return await manifests.fetch(self.connection, self.name, reference)

    async def resolve(self, tag: str) -> Digest | None:
        """Where a tag is now; None if it is not there."""
        return await manifests.digest_of_tag(self.connection, self.name, tag)

    async def put_manifest(self, data: bytes, media_type: str, *, tag: str | None = None) -> Stored:
        """Writes a manifest under its digest, then under ``tag``; see :func:`artifacts.oci.manifests.put`."""
        return await manifests.put(self.connection, self.name, data, media_type, tag=tag)

    async def move_tag(self, tag: str, manifest: Fetched, *, expected: Digest | None) -> None:
        """Moves a tag that is where it is expected to be; see :func:`artifacts.oci.manifests.move_tag`."""
        await manifests.move_tag(self.connection, self.name, tag, manifest, expected=expected)

    async def tags(self) -> list[str]:
        """Every tag, sorted."""
        return await manifests.list_tags(self.connection, self.name)

    async def delete_manifest(self, reference: str) -> None:
        """Removes a manifest by digest, or a tag where the registry can; does nothing if it is not there."""
        await manifests.delete(self.connection, self.name, reference)
