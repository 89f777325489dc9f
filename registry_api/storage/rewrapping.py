# SPDX-License-Identifier: Apache-2.0
"""Brings what is stored up to the present encryption: wraps data keys by the newest key, encrypts what is still plain.

Both go blob by blob, may run beside registries at work, and may be killed and started again: what is done is not done twice.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from artifacts.digest import Digest
from artifacts.stores.interface import StoredBlob
from core.errors import NotFound, StoreError
from core.telemetry.logs import get_logger
from registry_api.storage.interface import Blobs

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What a pass over blobs did."""

    looked_at: int = 0
    changed: int = 0
    damaged: int = 0  # left as they are; fsck --deep names them

    def __add__(self, other: Done) -> Done:
        return Done(
            looked_at=self.looked_at + other.looked_at,
            changed=self.changed + other.changed,
            damaged=self.damaged + other.damaged,
        )


async def rewrap(blobs: Blobs, tenants: list[str], *, rotate: bool) -> Done:
    """Wraps the data key of every encrypted blob by its tenant's newest key. The data is not touched.

    Args:
        blobs: The store.
        tenants: Whose blobs.
        rotate: Whether a new key is made first.

    Raises:
        Unavailable: If store or keys cannot be reached.
    """
    done = Done()
    for tenant in tenants:
        if rotate:
            _log.info("encryption_key_rotated", tenant=tenant, key_id=await blobs.wrapper.rotate(tenant))
        done += await _changed(tenant, blobs.sealed.blobs(tenant), blobs.sealed.rewrap)
    return done


async def convert(blobs: Blobs, tenants: list[str]) -> Done:
    """Brings every blob to the kind that new ones have: encrypted where encryption is on, plain where it is off.

    Raises:
        Unavailable: If store or keys cannot be reached.
    """
    done = Done()
    for tenant in tenants:
        done += await _changed(tenant, blobs.mixed.others(tenant), blobs.mixed.move)
    return done


async def _changed(
    tenant: str, found: AsyncIterator[StoredBlob], change: Callable[[str, Digest], Awaitable[bool]]
) -> Done:
    looked_at = changed = damaged = 0
    async for blob in found:
        looked_at += 1
        try:
            changed += await change(tenant, blob.digest)
        except NotFound:
            continue  # removed meanwhile
        except StoreError as error:
            damaged += 1
            _log.error("blob_damaged", tenant=tenant, digest=blob.digest, reason=error.message)
    return Done(looked_at=looked_at, changed=changed, damaged=damaged)
