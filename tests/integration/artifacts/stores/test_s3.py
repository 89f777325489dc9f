# SPDX-License-Identifier: Apache-2.0
"""The blob store suite on a real Ceph object store, plain and encrypted, and what goes wrong on the way there."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from artifacts.encryption.keys import FileKeys
from artifacts.encryption.sealing import Sealing
from artifacts.stores.abandoned import S3MultipartSweeper
from artifacts.stores.bucket import Bucket
from artifacts.stores.interface import BlobStore, ManagedStore
from artifacts.stores.objects import ObjectBlobStore
from artifacts.stores.s3 import access_of, open_s3
from artifacts.stores.sealed import SealedBlobStore
from artifacts.stores.testing import DATA, DIGEST, BlobStoreContract, broken, chunks_of, refused
from core.clock import SystemClock
from core.errors import ErrorCode, SignatureError, Unavailable
from deploy.local.components.rgw import ObjectStore
from tests.integration.artifacts.stores.proxy import Proxy, proxied
from tests.integration.artifacts.stores.s3 import new_bucket, options

LARGE = os.urandom(1 << 20) * 17  # three parts and a rest
LARGE_DIGEST = digest_bytes(LARGE)


@pytest.fixture(scope="module")
def bucket(rgw: ObjectStore) -> str:
    return new_bucket(rgw)


@pytest.fixture
def opened(rgw: ObjectStore) -> Bucket:
    return open_s3(options(rgw, new_bucket(rgw)), SystemClock())


class TestS3(BlobStoreContract):
    """S3."""

    @pytest.fixture
    def store(self, opened: Bucket) -> BlobStore:
        return ObjectBlobStore(opened)


class TestSealedS3(BlobStoreContract):
    """S3, encrypted."""

    @pytest.fixture
    def store(self, opened: Bucket, tmp_path: Path) -> BlobStore:
        return SealedBlobStore(opened, Sealing(FileKeys(tmp_path)))


@pytest.fixture
async def proxy(rgw: ObjectStore) -> AsyncIterator[Proxy]:
    async with proxied(rgw.endpoint) as running:
        yield running


@pytest.fixture(params=["plain", "sealed"])
def far(request: pytest.FixtureRequest, rgw: ObjectStore, bucket: str, proxy: Proxy, tmp_path: Path) -> ManagedStore:
    """A store behind the proxy."""
    reached = open_s3(options(rgw, bucket, endpoint=proxy.endpoint, retry_seconds=4.0), SystemClock())
    if request.param == "plain":
        return ObjectBlobStore(reached)
    return SealedBlobStore(reached, Sealing(FileKeys(tmp_path)))


async def put(store: BlobStore, tenant: str) -> None:
    await store.put(tenant, chunks_of(LARGE, 1 << 20), digest=LARGE_DIGEST, size=len(LARGE))


@pytest.mark.fault("S3 answering 500, slowly, or cut")
@pytest.mark.parametrize("method", [b"PUT", b"POST", b"GET"])
async def test_passing_errors_are_retried(far: ManagedStore, proxy: Proxy, method: bytes) -> None:
    """500 to the first requests of a kind, and the blob is stored and read all the same."""
    tenant = f"errors-{method.decode().lower()}-{type(far).__name__.lower()}"
    proxy.faults.only, proxy.faults.errors = method, 2
    await put(far, tenant)
    assert await far.read(tenant, LARGE_DIGEST, limit=len(LARGE)) == LARGE
    assert proxy.faults.errors == 0


@pytest.mark.fault("S3 answering 500, slowly, or cut")
async def test_a_connection_cut_within_a_part_is_retried(far: ManagedStore, proxy: Proxy) -> None:
    """Two parts are cut midway; what is stored in the end is whole."""
    tenant = f"cut-{type(far).__name__.lower()}"
    proxy.faults.only, proxy.faults.cuts = b"partNumber", 2
    await put(far, tenant)
    assert await far.read(tenant, LARGE_DIGEST, limit=len(LARGE)) == LARGE
    assert proxy.faults.cuts == 0


@pytest.mark.fault("S3 answering 500, slowly, or cut")
@pytest.mark.parametrize("fault", ["errors", "cuts", "silent"])
async def test_a_store_that_stays_away_is_said_to_be(far: ManagedStore, proxy: Proxy, fault: str) -> None:
    """STORE_001 within the limits; nothing is visible, and when the store is back the same put succeeds."""
    tenant = f"away-{fault}-{type(far).__name__.lower()}"
    proxy.faults.only = b"partNumber"
    setattr(proxy.faults, fault, True if fault == "silent" else 10_000)
    with refused(ErrorCode.STORE_UNAVAILABLE):
        async with asyncio.timeout(30):
            await put(far, tenant)
    proxy.faults.errors = proxy.faults.cuts = 0
    proxy.faults.silent = False
    assert await far.size(tenant, LARGE_DIGEST) is None
    await put(far, tenant)
    assert await far.read(tenant, LARGE_DIGEST, limit=len(LARGE)) == LARGE


async def test_wrong_bytes_of_several_parts_never_become_visible(opened: Bucket) -> None:
    """The digest is wrong only in the last byte, when all other parts were sent already."""
    store = ObjectBlobStore(opened)
    with pytest.raises(SignatureError):
        await store.put("acme", chunks_of(LARGE[:-1] + b"?", 1 << 20), digest=LARGE_DIGEST, size=len(LARGE))
    assert await store.size("acme", LARGE_DIGEST) is None
    assert [blob async for blob in store.blobs("acme")] == []


async def test_abandoned_multipart_uploads_are_swept(rgw: ObjectStore) -> None:
    """What a cancelled and a failed put left is ended once it is old enough; younger ones, and other prefixes, are not."""
    name = new_bucket(rgw)
    chosen, clock = options(rgw, name), SystemClock()
    store = ObjectBlobStore(open_s3(chosen, clock))
    begun, never = asyncio.Event(), asyncio.Event()

    async def stalled() -> AsyncIterator[bytes]:
        for _ in range(12):
            yield bytes(1 << 20)
        begun.set()
        await never.wait()

    putting = asyncio.create_task(store.put("acme", stalled(), digest=LARGE_DIGEST, size=len(LARGE)))
    await begun.wait()
    putting.cancel()
    await asyncio.gather(putting, return_exceptions=True)
    sweeper = S3MultipartSweeper(access_of(chosen), clock, timeout_seconds=10)
    async with asyncio.timeout(10):  # the part that was on its way arrives first
        while (left := await sweeper.pending()) == 0:
            await asyncio.sleep(0.05)
    assert left == 1
    assert await store.sweep_staging(timedelta(hours=1)) == 0
    assert await store.sweep_staging(timedelta(hours=-1)) == 1
    assert await sweeper.pending() == 0
    await put(store, "acme")
    assert await store.read("acme", LARGE_DIGEST, limit=len(LARGE)) == LARGE


async def test_of_many_who_create_one_wins(opened: Bucket) -> None:
    """The small object that makes an encrypted blob visible is created once, and replaced only by who saw the present one."""
    won = await asyncio.gather(*(opened.create("marker", bytes([n]), name="m") for n in range(16)))
    assert sum(won) == 1
    found = await opened.small("marker", limit=10, name="m")
    assert found.data == bytes([won.index(True)])
    replaced = await asyncio.gather(
        *(opened.replace("marker", bytes([100 + n]), expected=found.tag, name="m") for n in range(8))
    )
    assert sum(replaced) == 1
    assert (await opened.small("marker", limit=10, name="m")).data == bytes([100 + replaced.index(True)])


async def test_a_wrong_key_or_bucket_is_an_unavailable_store(rgw: ObjectStore, bucket: str) -> None:
    """STORE_001; the secret is neither in the message nor in what is logged."""
    for chosen in (options(rgw, "no-such-bucket"), replace(options(rgw, bucket), secret_key="not-the-secret")):
        store = ObjectBlobStore(open_s3(chosen, SystemClock()))
        with pytest.raises(Unavailable) as caught:
            await store.put("acme", chunks_of(DATA), digest=DIGEST, size=len(DATA))
        assert caught.value.code is ErrorCode.STORE_UNAVAILABLE
        assert "not-the-secret" not in f"{caught.value} {caught.value.log_context} {chosen}"


async def test_listing_shows_blobs_and_their_age(opened: Bucket) -> None:
    """Every blob once, with its tenant, size and time."""
    store = ObjectBlobStore(opened)
    await store.put("acme", chunks_of(DATA), digest=DIGEST, size=len(DATA))
    found = [blob async for blob in store.blobs("acme")]
    assert [(blob.digest, blob.size) for blob in found] == [(DIGEST, len(DATA))]
    assert abs(datetime.now(UTC) - found[0].modified_at) < timedelta(minutes=5)
    assert await store.tenants() == ["acme"]


async def test_a_cut_source_leaves_no_object(opened: Bucket) -> None:
    """The sender's own error comes through and no object is listed, however many parts were sent."""
    store = ObjectBlobStore(opened)
    with pytest.raises(ValueError, match="gone"):
        await store.put("acme", broken(LARGE[:-1], ValueError("gone")), digest=LARGE_DIGEST, size=len(LARGE))
    assert [blob async for blob in store.blobs("acme")] == []
