# SPDX-License-Identifier: Apache-2.0
"""What uploads and conversions need to know about all that a tenant keeps, of which they are only a part."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from artifacts.digest import Digest
from registry_api.db.session import Session


class TenantBlobs(Protocol):
    """The blobs of tenants and who refers to them."""

    async def admit(self, session: Session, tenant: str) -> None:
        """Checks what the tenant keeps, after what is to be kept was written in the same transaction.

        Raises:
            Overloaded: ``QUOTA_001`` if it is more than a tenant may keep.
        """
        ...

    async def discard(self, tenant: str, digests: Iterable[Digest]) -> int:
        """Removes those blobs that nobody refers to; returns how many. Needs no open transaction."""
        ...
