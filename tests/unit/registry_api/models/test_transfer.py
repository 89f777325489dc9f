# SPDX-License-Identifier: Apache-2.0
"""What was put into the store is there, or its removal is noticed."""

from __future__ import annotations

from artifacts.stores.objects import ObjectBlobStore
from artifacts.testing import refused
from core.errors import ErrorCode
from registry_api.models.transfer import check_stored, upload_bytes


async def test_a_blob_that_was_removed_meanwhile_is_named() -> None:
    """STORE_003, with what was at work; a tenant's blobs are not another's."""
    store = ObjectBlobStore.memory()
    digests = [await upload_bytes(store, "acme", data) for data in (b"one", b"two")]
    await check_stored(store, "acme", digests, maker="build")
    with refused(ErrorCode.BLOB_CORRUPT, digests[0], "before the build ended"):
        await check_stored(store, "evil", digests, maker="build")
    await store.delete("acme", digests[1])
    with refused(ErrorCode.BLOB_CORRUPT, digests[1]):
        await check_stored(store, "acme", digests, maker="build")
