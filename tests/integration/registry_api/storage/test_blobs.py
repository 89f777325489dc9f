# SPDX-License-Identifier: Apache-2.0
"""What a tenant may keep, and that no blob goes that somebody needs. Database and store are real files."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import orjson
import pytest

from artifacts.digest import digest_bytes
from artifacts.manifest import FileEntry
from artifacts.stores.mixed import MixedBlobStore
from core.clock import ManualClock
from core.errors import Conflict, ErrorCode, NotFound, Overloaded
from registry_api.bootstrap.platform import Platform, inspection_limits, open_platform, upload_limits
from registry_api.housekeeping import sweep
from registry_api.http.access import Role
from registry_api.http.auth import Principal
from registry_api.models.description import Description, DescriptionService
from registry_api.models.service import ModelService
from registry_api.models.uploads.child import ChildLimits, ChildResult
from registry_api.models.uploads.inspection import ModelInspector
from registry_api.models.uploads.joining import PartJoiner
from registry_api.models.uploads.registration import Registrar
from registry_api.models.uploads.service import UploadService
from registry_api.models.uploads.values import NewUpload, Upload
from registry_api.models.values import Version
from registry_api.settings.registry import Settings
from registry_api.storage.blobs import StoredBlobs

CALLER = Principal(tenant="default", key_id="k", name="k", roles=frozenset({Role.DEVELOPER}))
TENSOR = {"name": "x", "datatype": "FP32", "shape": [-1, 4]}
ANSWER = orjson.dumps({"inputs": [TENSOR], "outputs": [TENSOR], "precision": "fp32"})
MODEL, LABELS = b"model", b"labels"


async def accepts_anything(_folder: Path, _limits: ChildLimits) -> ChildResult:
    return ChildResult(status=0, answer=ANSWER, stderr="")


def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    async def each() -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    return each()


def files(*contents: bytes) -> tuple[FileEntry, ...]:
    """The first is the model."""
    names = ["model.onnx", *(f"{at}.bin" for at in range(1, len(contents)))]
    return tuple(
        FileEntry(path=name, size=len(data), digest=digest_bytes(data))
        for name, data in zip(names, contents, strict=True)
    )


@dataclass(kw_only=True)
class Registry:
    """The services around one store."""

    platform: Platform
    clock: ManualClock
    store: MixedBlobStore
    blobs: StoredBlobs
    uploads: UploadService
    registrar: Registrar

    async def declare(self, *contents: bytes) -> Upload:
        wanted = NewUpload(model="digits", format="onnx", files=files(*contents), metadata={})
        return (await self.uploads.create(CALLER, wanted)).upload

    async def send(self, upload: Upload, *contents: bytes) -> None:
        for entry, data in zip(upload.files, contents, strict=True):
            await self.uploads.receive("default", upload.id, entry.path, chunks(data), len(data))

    async def push(self, *contents: bytes) -> Version:
        upload = await self.declare(*contents)
        await self.send(upload, *contents)
        return await self.registrar.complete(CALLER, upload.id)

    async def give_up(self, upload: Upload) -> None:
        await self.uploads.abort("default", upload.id)

    async def sweep(self) -> None:
        await sweep(self.platform, self.blobs)

    async def keeps(self, *contents: bytes) -> list[bool]:
        """Which of the contents are in the store."""
        return [await self.store.size("default", digest_bytes(data)) is not None for data in contents]


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


async def opened(
    stack: AsyncExitStack,
    home: Path,
    *,
    tenant_bytes: int = 0,
    wrapped: Callable[[MixedBlobStore], MixedBlobStore] = lambda store: store,
) -> Registry:
    clock, settings = ManualClock(), Settings(home=home)
    platform = await stack.enter_async_context(open_platform(settings, clock))
    store, parts = wrapped(platform.blobs.mixed), platform.blobs.parts
    platform = replace(platform, store=store)
    db = platform.db
    blobs = StoredBlobs(db, store, parts, tenant_bytes=tenant_bytes)
    joiner = PartJoiner(parts, store, part_bytes=settings.uploads.part_bytes)
    uploads = UploadService(db=db, store=store, clock=clock, blobs=blobs, joiner=joiner, limits=upload_limits(settings))
    limits = inspection_limits(settings)
    limits = replace(limits, turns=replace(limits.turns, tenant_waiting=100))
    inspector = ModelInspector(store, settings.scratch_dir, limits, accepts_anything)
    stack.push_async_callback(inspector.close)
    registrar = Registrar(db=db, store=store, clock=clock, keys=platform.keys, uploads=uploads, inspector=inspector)
    await DescriptionService(db, clock).create(CALLER, "digits", Description())
    return Registry(platform=platform, clock=clock, store=store, blobs=blobs, uploads=uploads, registrar=registrar)


async def test_a_tenant_keeps_no_more_than_it_may(tmp_path: Path, stack: AsyncExitStack) -> None:
    """QUOTA_001 says how much it would be and how much is allowed, and nothing was declared."""
    registry = await opened(stack, tmp_path, tenant_bytes=20)
    await registry.push(b"0123456789")
    upload = await registry.declare(b"abcdefghij")
    with pytest.raises(Overloaded, match=r"keep 21 bytes .* limit is 20") as caught:
        await registry.declare(b"x")
    error = caught.value
    assert (error.code, error.details) == (ErrorCode.QUOTA_EXCEEDED, {"bytes": 21, "limit": 20})
    await registry.give_up(upload)
    with pytest.raises(Overloaded):
        await registry.declare(b"x")
    await registry.sweep()
    await registry.declare(b"x")


async def test_the_same_bytes_count_once(tmp_path: Path, stack: AsyncExitStack) -> None:
    """In a version, in a second one and in an open upload."""
    registry = await opened(stack, tmp_path, tenant_bytes=10)
    for _ in range(2):
        await registry.push(b"0123456789")
    await registry.declare(b"0123456789")
    with pytest.raises(Overloaded):
        await registry.declare(b"0123456789", b"x")


@pytest.mark.parametrize("expires", [False, True])
async def test_what_was_sent_for_a_given_up_upload_is_removed(
    tmp_path: Path, stack: AsyncExitStack, *, expires: bool
) -> None:
    """By the next sweep, whether its owner gave it up or it expired; then the upload itself is gone."""
    registry = await opened(stack, tmp_path)
    upload = await registry.declare(MODEL, LABELS)
    await registry.send(upload, MODEL, LABELS)
    await registry.sweep()
    assert await registry.keeps(MODEL, LABELS) == [True, True]
    if expires:
        registry.clock.advance(24 * 3600)
    else:
        await registry.give_up(upload)
    await registry.sweep()
    assert await registry.keeps(MODEL, LABELS) == [False, False]
    with pytest.raises(NotFound):
        await registry.uploads.get("default", upload.id)


async def test_what_others_name_is_kept(tmp_path: Path, stack: AsyncExitStack) -> None:
    """A version's file, manifest and signature, and another open upload's file; another tenant's rows keep nothing."""
    registry = await opened(stack, tmp_path)
    version = await registry.push(MODEL)
    store = registry.store
    manifest = await store.read("default", version.digest, limit=1 << 20)
    signature = await store.read("default", version.signature_digest, limit=1 << 20)
    contents = (MODEL, manifest, signature, LABELS, b"only here")
    upload, other = await registry.declare(*contents), await registry.declare(b"m", LABELS)
    await registry.send(upload, *contents)
    await registry.give_up(upload)
    await registry.sweep()
    assert await registry.keeps(*contents) == [True, True, True, True, False]
    await store.put("acme", chunks(MODEL), digest=digest_bytes(MODEL), size=len(MODEL))
    assert await registry.blobs.discard("acme", [digest_bytes(MODEL)]) == 1
    await registry.send(other, b"m", LABELS)
    assert (await registry.registrar.complete(CALLER, other.id)).version == 2


async def test_an_expired_upload_cannot_be_completed_while_it_is_swept(tmp_path: Path, stack: AsyncExitStack) -> None:
    """It is given up before the first of its blobs goes."""
    removing, go_on = asyncio.Event(), asyncio.Event()
    registry = await opened(stack, tmp_path, wrapped=lambda store: HeldStore(store, removing, go_on))
    upload = await registry.declare(MODEL, LABELS)
    await registry.send(upload, MODEL, LABELS)
    registry.clock.advance(24 * 3600)
    sweeping = asyncio.create_task(registry.sweep())
    async with asyncio.timeout(20):
        await removing.wait()
    completing = asyncio.create_task(registry.registrar.complete(CALLER, upload.id))
    go_on.set()
    await sweeping
    with pytest.raises(NotFound):
        await completing


class HeldStore(MixedBlobStore):
    """The same store, whose removals wait."""

    def __init__(self, store: MixedBlobStore, removing: asyncio.Event, go_on: asyncio.Event) -> None:
        super().__init__(store._written, store._other)
        self._removing = removing
        self._go_on = go_on

    async def delete(self, tenant: str, digest: str) -> None:
        self._removing.set()
        await self._go_on.wait()
        await super().delete(tenant, digest)


async def test_a_declaration_during_a_removal_waits_and_sees_that_the_blob_is_gone(
    tmp_path: Path, stack: AsyncExitStack
) -> None:
    """It is told to send the file, and what it sends stays."""
    removing, go_on = asyncio.Event(), asyncio.Event()
    registry = await opened(stack, tmp_path, wrapped=lambda store: HeldStore(store, removing, go_on))
    first = await registry.declare(MODEL)
    await registry.send(first, MODEL)
    await registry.give_up(first)
    sweeping = asyncio.create_task(registry.sweep())
    async with asyncio.timeout(20):
        await removing.wait()
    wanted = NewUpload(model="digits", format="onnx", files=files(MODEL), metadata={})
    declaring = asyncio.create_task(registry.uploads.create(CALLER, wanted))
    finished, _ = await asyncio.wait([declaring], timeout=0.5)  # without the lock it takes a hundredth of that
    go_on.set()
    assert not finished
    progress = await declaring
    assert progress.missing == ("model.onnx",)
    await registry.send(progress.upload, MODEL)
    await sweeping
    await registry.sweep()
    assert await registry.keeps(MODEL) == [True]


@pytest.mark.parametrize("swept", [False, True])
async def test_bytes_that_arrive_after_their_upload_was_given_up_do_not_stay(
    tmp_path: Path, stack: AsyncExitStack, *, swept: bool
) -> None:
    """Whether or not housekeeping came before the last of them."""
    registry = await opened(stack, tmp_path)
    upload = await registry.declare(MODEL)
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield MODEL[:2]
        begun.set()
        await go_on.wait()
        yield MODEL[2:]

    sending = asyncio.create_task(registry.uploads.receive("default", upload.id, "model.onnx", slow(), None))
    await begun.wait()
    await registry.give_up(upload)
    if swept:
        await registry.sweep()
    go_on.set()
    with pytest.raises((Conflict, NotFound)):
        await sending
    assert await registry.keeps(MODEL) == [False]


async def test_no_live_upload_loses_a_blob_however_others_come_and_go(tmp_path: Path, stack: AsyncExitStack) -> None:
    """Tenants' processes declare, send, give up, expire and complete the same few files while sweeps run.

    Law: what was declared as received or answered as received is there until the upload is given up; every version's
    files are there at the end, and nothing else is.
    """
    registry = await opened(stack, tmp_path)
    chance = random.Random(7)
    contents = [b"content %d" % at for at in range(8)]
    done = asyncio.Event()

    async def pusher(n: int) -> None:
        for turn in range(12):
            mine = chance.sample(contents, 2)
            wanted = NewUpload(model="digits", format="onnx", files=files(*mine), metadata={})
            progress = await registry.uploads.create(CALLER, wanted)
            for entry, data in zip(wanted.files, mine, strict=True):
                if entry.path in progress.missing:
                    await registry.uploads.receive("default", progress.upload.id, entry.path, chunks(data), None)
                await asyncio.sleep(0)
            assert await registry.keeps(*mine) == [True, True]
            if (n, turn) in ((0, 5), (1, 8)):  # two to four of the eight contents are in a version at the end
                await registry.registrar.complete(CALLER, progress.upload.id)
            else:
                await registry.give_up(progress.upload)

    async def sweeper() -> None:
        while not done.is_set():
            await registry.sweep()
            await asyncio.sleep(0)

    sweeps = [asyncio.create_task(sweeper()) for _ in range(2)]
    try:
        async with asyncio.TaskGroup() as pushers:
            for n in range(6):
                pushers.create_task(pusher(n))
    finally:
        done.set()
        await asyncio.gather(*sweeps)
    await registry.sweep()
    kept = await named(registry, contents)
    assert await registry.keeps(*contents) == kept
    assert {True, False} == set(kept)  # otherwise the test shows nothing


async def named(registry: Registry, contents: Sequence[bytes]) -> list[bool]:
    """Which of the contents some version holds."""
    models = ModelService(registry.platform.db, registry.store, registry.clock)
    newest = (await models.get("default", "digits")).latest_version or 0
    held = {
        entry.digest
        for number in range(1, newest + 1)
        for entry in (await models.version("default", "digits", number)).files
    }
    return [digest_bytes(data) in held for data in contents]
