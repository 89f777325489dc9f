# SPDX-License-Identifier: Apache-2.0
"""The port of blob stores: bytes by tenant and digest.

Each tenant has its own name space: identical bytes of two tenants are two blobs, so nobody can learn from a store whether
somebody else has a file. A blob is visible only when it is complete and its digest is right; it never changes afterwards.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

from artifacts.digest import Digest


class BlobStore(Protocol):
    """Content-addressed, immutable blobs. Every method raises ``STORE_001`` (retryable) if the store cannot be reached."""

    async def put(self, tenant: str, chunks: AsyncIterator[bytes], *, digest: Digest, size: int) -> None:
        """Stores ``chunks`` in constant memory. Does nothing, and reads nothing, if the blob is already there.

        Args:
            tenant: Whose blob it is.
            chunks: The bytes, in pieces of any size. What it raises passes through unchanged.
            digest: What the bytes must hash to.
            size: How many bytes there must be.

        Raises:
            InvalidRequest: ``VALID_008`` if there are fewer or more bytes than ``size``.
            SignatureError: ``SIGN_004`` if they hash to something else.
            Unavailable: ``STORE_004`` if the store has no room.
        """
        ...

    async def read(self, tenant: str, digest: Digest, *, limit: int) -> bytes:
        """The whole blob, hashed again.

        Raises:
            NotFound: ``STORE_002`` if there is none.
            InvalidRequest: ``VALID_003`` if it has more than ``limit`` bytes.
            StoreError: ``STORE_003`` if the bytes are damaged.
        """
        ...

    def stream(self, tenant: str, digest: Digest, *, start: int = 0) -> AsyncIterator[bytes]:
        """The blob in pieces, from byte ``start``, in constant memory.

        From the beginning it is hashed on the way, and the last piece is withheld if the bytes are damaged. From elsewhere
        it is not: who resumes a download checks the digest of the whole.

        Raises:
            NotFound: ``STORE_002`` if there is none.
            InvalidRequest: ``VALID_002`` if ``start`` lies beyond the end.
            StoreError: ``STORE_003`` if the bytes are damaged.
        """
        ...

    async def lend(self, tenant: str, digest: Digest, path: Path) -> bool:
        """Makes ``path`` another name of the blob's own file, hashed and read-only, if it lies plain on the same disk.

        Nobody may write to it. Removing the name does not remove the blob, nor the other way round.

        Args:
            tenant: Whose blob it is.
            digest: Which.
            path: A new name in a folder that exists.

        Returns:
            Whether it did; otherwise nothing was done, and the bytes can be streamed.

        Raises:
            NotFound: ``STORE_002`` if there is none.
            StoreError: ``STORE_003`` if the bytes are damaged.
        """
        ...

    async def size(self, tenant: str, digest: Digest) -> int | None:
        """Bytes of the blob; None if there is none."""
        ...

    async def delete(self, tenant: str, digest: Digest) -> None:
        """Removes the blob; does nothing if there is none."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBlob:
    """A blob as a listing shows it."""

    digest: Digest
    size: int  # bytes in the store; more than the blob's own where it is encrypted
    modified_at: datetime


class ManagedStore(BlobStore, Protocol):
    """A blob store whose content can be listed and tidied up."""

    def blobs(self, tenant: str) -> AsyncIterator[StoredBlob]:
        """Every visible blob of a tenant, in no order; one that comes or goes meanwhile may or may not be among them."""
        ...

    async def tenants(self) -> list[str]:
        """The tenants that have anything in the store."""
        ...

    async def sweep_staging(self, older_than: timedelta) -> int:
        """Removes what unfinished puts left behind; returns how many.

        Args:
            older_than: The age from which nobody can still be writing: more than the longest upload.
        """
        ...
