# SPDX-License-Identifier: Apache-2.0
"""Collection, check, rewrapping and conversion of a real store; collections beside pushes remove nothing needed."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from artifacts.encryption.sealing import Sealing
from artifacts.stores.bucket import Bucket
from artifacts.stores.sealed import SealedBlobStore
from core.clock import ManualClock, SystemClock
from registry_api.bootstrap.platform import Platform, inspection_limits, open_platform, upload_limits
from registry_api.housekeeping import sweep
from registry_api.models.description import Description, DescriptionService
from registry_api.models.uploads.inspection import ModelInspector
from registry_api.models.uploads.joining import PartJoiner
from registry_api.models.uploads.registration import Registrar
from registry_api.models.uploads.service import UploadService
from registry_api.models.uploads.values import NewUpload
from registry_api.settings.registry import Settings
from registry_api.settings.storage import StoreSettings
from registry_api.storage.blobs import StoredBlobs
from registry_api.storage.checking import StoreCheck, TenantReport
from registry_api.storage.collection import Collected, Collector
from registry_api.storage.rewrapping import convert, rewrap
from tests.integration.registry_api.storage.test_blobs import CALLER, accepts_anything, chunks, files

AT_ONCE = timedelta(hours=-1)  # older than that is everything


class Setting:
    """A registry's services on one home, without HTTP."""

    def __init__(self, platform: Platform, inspector: ModelInspector) -> None:
        db, store, clock, parts = platform.db, platform.store, platform.clock, platform.blobs.parts
        self.platform = platform
        self.blobs = StoredBlobs(db, store, parts, tenant_bytes=0)
        joiner = PartJoiner(parts, store, part_bytes=1 << 20)
        limits = upload_limits(platform.settings)
        self.uploads = UploadService(db=db, store=store, clock=clock, blobs=self.blobs, joiner=joiner, limits=limits)
        self.registrar = Registrar(
            db=db, store=store, clock=clock, keys=platform.keys, uploads=self.uploads, inspector=inspector
        )

    async def push(self, *contents: bytes) -> None:
        wanted = NewUpload(model="digits", format="onnx", files=files(*contents), metadata={})
        upload = (await self.uploads.create(CALLER, wanted)).upload
        for entry, data in zip(upload.files, contents, strict=True):
            await self.uploads.receive("default", upload.id, entry.path, chunks(data), len(data))
        await self.registrar.complete(CALLER, upload.id)

    async def half_push(self, *contents: bytes) -> None:
        """Declares, sends, and gives up."""
        wanted = NewUpload(model="digits", format="onnx", files=files(*contents), metadata={})
        upload = (await self.uploads.create(CALLER, wanted)).upload
        for entry, data in zip(upload.files, contents, strict=True):
            await self.uploads.receive("default", upload.id, entry.path, chunks(data), len(data))
        await self.uploads.abort("default", upload.id)

    async def put(self, data: bytes) -> str:
        """A blob that nobody refers to."""
        digest = digest_bytes(data)
        await self.platform.store.put("default", chunks(data), digest=digest, size=len(data))
        return digest

    async def collect(self, older_than: timedelta) -> Collected:
        """A collection whose remains are those of another store: only blobs that are visible may be of any age."""
        elsewhere = SealedBlobStore(Bucket.memory(), Sealing(self.platform.blobs.wrapper))
        collector = Collector(
            db=self.platform.db,
            store=self.platform.store,
            sealed=elsewhere,
            blobs=self.blobs,
            clock=SystemClock(),
            older_than=older_than,
        )
        return await collector.collect()

    async def check(self, *, deep: bool = False) -> TenantReport:
        found = [each async for each in StoreCheck(self.platform.db, self.platform.store, deep=deep).reports()]
        return next(report for report in found if report.tenant == "default")


async def opened(stack: AsyncExitStack, home: Path, encryption: str = "off") -> Setting:
    settings = Settings(home=home, store=StoreSettings(encryption="on" if encryption == "on" else "off"))
    platform = await stack.enter_async_context(open_platform(settings, ManualClock()))
    limits = inspection_limits(settings)
    limits = replace(limits, turns=replace(limits.turns, tenant_waiting=100))
    inspector = ModelInspector(platform.store, settings.copies_dir, limits, accepts_anything)
    stack.push_async_callback(inspector.close)
    return Setting(platform, inspector)


@pytest.fixture
async def stack() -> AsyncIterator[AsyncExitStack]:
    async with AsyncExitStack() as entered:
        yield entered


@pytest.fixture(params=["off", "on"])
async def setting(request: pytest.FixtureRequest, stack: AsyncExitStack, tmp_path: Path) -> Setting:
    made = await opened(stack, tmp_path, request.param)
    await DescriptionService(made.platform.db, made.platform.clock).create(CALLER, "digits", Description())
    return made


@pytest.mark.parametrize("seed", range(4))
async def test_no_schedule_of_pushes_and_collections_loses_a_blob_that_is_needed(setting: Setting, seed: int) -> None:
    """Pushers share, push and give up the same few files while collections that spare no age, and sweeps, run beside them."""
    rng = random.Random(seed)
    contents = [bytes([65 + at]) * 50 for at in range(5)]
    done = asyncio.Event()

    async def pusher() -> None:
        for _ in range(6):
            chosen = rng.sample(contents, k=rng.randint(1, 3))
            await asyncio.sleep(rng.random() * 0.01)
            await (setting.push if rng.random() < 0.6 else setting.half_push)(*chosen)

    async def collector() -> int:
        removed = 0
        while not done.is_set():
            removed += (await setting.collect(AT_ONCE)).removed
            await sweep(setting.platform, setting.blobs)
            await asyncio.sleep(0)
        return removed

    collecting = asyncio.create_task(collector())
    try:
        await asyncio.gather(*(pusher() for _ in range(3)))
    finally:
        done.set()
    await collecting
    report = await setting.check(deep=True)
    assert report.sound, report
    await sweep(setting.platform, setting.blobs)
    await setting.collect(AT_ONCE)
    report = await setting.check(deep=True)
    assert (report.sound, report.unreferenced) == (True, 0), report


async def test_only_old_unreferenced_blobs_go(setting: Setting) -> None:
    """A young one stays, an old one goes, and what a version needs stays whatever its age."""
    await setting.push(b"model", b"labels")
    orphan = await setting.put(b"nobody's")
    assert (await setting.collect(timedelta(hours=1))).removed == 0
    assert (await setting.collect(AT_ONCE)).removed == 1
    assert await setting.platform.store.size("default", orphan) is None
    assert (await setting.check(deep=True)).sound


async def test_the_check_names_what_is_missing_damaged_and_unreferenced(setting: Setting) -> None:
    """Missing and damaged by digest, unreferenced by number; a damaged byte is found by the deep check."""
    await setting.push(b"model", b"labels", b"weights" * 99)
    sound = await setting.check(deep=True)
    assert (sound.needed, sound.missing, sound.damaged, sound.unreferenced) == (5, (), (), 0)
    store, home = setting.platform.store, setting.platform.settings.home
    await setting.put(b"nobody's")
    await store.delete("default", digest_bytes(b"labels"))
    damaged = digest_bytes(b"weights" * 99)
    path = next(each for each in _data_files(home) if damaged[7:] in str(each))
    path.write_bytes(bytes([path.read_bytes()[0] ^ 1]) + path.read_bytes()[1:])
    report = await setting.check()
    assert (report.missing, report.damaged, report.unreferenced) == ((digest_bytes(b"labels"),), (), 1)
    assert (await setting.check(deep=True)).damaged == (damaged,)


def _data_files(home: Path) -> list[Path]:
    return [path for path in (home / "blobs").rglob("*") if path.is_file() and path.name != "head"]


async def test_an_upload_on_its_way_misses_nothing(setting: Setting) -> None:
    """Declared files that have not arrived are no fault, and what has arrived of them is not unreferenced."""
    wanted = NewUpload(model="digits", format="onnx", files=files(b"model", b"labels"), metadata={})
    upload = (await setting.uploads.create(CALLER, wanted)).upload
    await setting.uploads.receive("default", upload.id, "model.onnx", chunks(b"model"), 5)
    report = await setting.check()
    assert (report.sound, report.needed, report.unreferenced) == (True, 0, 0)
    assert (await setting.collect(AT_ONCE)).removed == 0


async def test_a_plain_registry_becomes_encrypted_and_rotates(tmp_path: Path) -> None:
    """Push plain; switch encryption on; convert; rotate and rewrap: everything stays readable, nothing plain is left."""
    async with AsyncExitStack() as stack:
        plain = await opened(stack, tmp_path)
        await DescriptionService(plain.platform.db, plain.platform.clock).create(CALLER, "digits", Description())
        await plain.push(b"model", b"the secret weights")
    async with AsyncExitStack() as stack:
        setting = await opened(stack, tmp_path, "on")
        await setting.push(b"second", b"more secret weights")
        assert (await setting.check(deep=True)).sound
        blobs = setting.platform.blobs
        converted = await convert(blobs, ["default"])
        assert (converted.looked_at, converted.changed, converted.damaged) == (4, 4, 0)
        assert (await convert(blobs, ["default"])).looked_at == 0
        assert not any(b"secret" in path.read_bytes() for path in _data_files(tmp_path))
        old = await blobs.wrapper.key_id("default")
        rotated = await rewrap(blobs, ["default"], rotate=True)
        assert (rotated.looked_at, rotated.changed, rotated.damaged) == (8, 8, 0)
        assert (await rewrap(blobs, ["default"], rotate=False)).changed == 0
    (tmp_path / "keys/encryption/default" / f"{old}.key").unlink()
    async with AsyncExitStack() as stack:
        setting = await opened(stack, tmp_path, "on")
        assert (await setting.check(deep=True)).sound


@pytest.mark.parametrize("setting", ["on"], indirect=True)
async def test_a_rewrap_goes_on_after_damage(setting: Setting) -> None:
    """A damaged head is counted and left; the others are rewrapped."""
    await setting.push(b"model", b"labels")
    head = next((setting.platform.settings.home / "blobs").rglob("head"))
    head.write_bytes(head.read_bytes()[:-1] + b"?")
    done = await rewrap(setting.platform.blobs, ["default"], rotate=True)
    assert (done.looked_at, done.changed, done.damaged) == (4, 3, 1)


@pytest.mark.parametrize("setting", ["off"], indirect=True)
async def test_copies_of_killed_inspections_are_swept(setting: Setting) -> None:
    """An old copy goes; a young one may be in use, and other folders are nobody's copies."""
    scratch = setting.platform.settings.copies_dir
    for name in ("inspect-old", "builds"):
        (scratch / name).mkdir(parents=True)
    await sweep(setting.platform, setting.blobs)
    assert {path.name for path in scratch.iterdir()} == {"inspect-old", "builds"}
    clock = setting.platform.clock
    assert isinstance(clock, ManualClock)
    clock.advance((SystemClock().now() - clock.now()).total_seconds() + 25 * 3600)
    await sweep(setting.platform, setting.blobs)
    assert {path.name for path in scratch.iterdir()} == {"builds"}


@pytest.mark.parametrize("setting", ["on"], indirect=True)
async def test_with_encryption_nothing_plain_reaches_the_disk(setting: Setting) -> None:
    """A model is copied for its inspection into memory, not below the home folder."""
    settings = setting.platform.settings
    assert str(settings.copies_dir).startswith("/dev/shm/")
    await setting.push(b"a model nobody may see", b"labels")
    found = [path for path in settings.home.rglob("*") if path.is_file()]
    assert not any(b"nobody may see" in path.read_bytes() for path in found)
