# SPDX-License-Identifier: Apache-2.0
"""The build handler against a real database and store; the Bento is any file."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from artifacts.manifest import FileEntry
from core.errors import ErrorCode, StoreError
from registry_api.builds.builder import BentoBuilder, BuildOptions, Packed
from registry_api.builds.handler import BuildHandler
from registry_api.builds.wheel import WheelCache
from registry_api.db.session import EVERY_TENANT
from registry_api.jobs.interface import JobKind, JobTask
from registry_api.jobs.lease import LeasePolicy
from registry_api.jobs.queue import JobQueue
from registry_api.jobs.service import JobService
from registry_api.jobs.testing import RecordingTask
from registry_api.jobs.worker import Worker
from registry_api.models.source import Source
from registry_api.products.handler import Tools
from registry_api.storage.blobs import StoredBlobs
from registry_api.storage.repository import StorageRepository
from tests.integration.registry_api.bench import at_work, ended_job
from tests.integration.registry_api.rest import Api, open_api, tiny_onnx


class InstantBuilder(BentoBuilder):
    """Packs nothing but a constant."""

    async def build(self, source: Source, scratch: Path, task: JobTask, *, tuning: bytes | None = None) -> Packed:
        (scratch / "bento.tar").write_bytes(b"bento")
        return Packed(archive=scratch / "bento.tar", files=(FileEntry(path="a", size=1, digest=digest_bytes(b"a")),))


def handler_of(api: Api, folder: Path, *, tenant_bytes: int = 0) -> BuildHandler:
    """A handler that works below ``folder``; tenants may keep so many bytes, if not 0."""
    platform = api.platform
    options = BuildOptions(bentoml_home=folder, scratch=folder / "scratch")
    wheels = WheelCache(folder, folder)
    builder = InstantBuilder(platform.store, platform.keys, platform.clock, wheels=wheels, options=options)
    tools = Tools(db=platform.db, store=platform.store, keys=platform.keys, clock=platform.clock)
    blobs = StoredBlobs(platform.db, platform.store, platform.blobs.parts, tenant_bytes=tenant_bytes)
    return BuildHandler(tools, builder=builder, blobs=blobs, options=options)


async def kept_bytes(api: Api) -> int:
    async with api.platform.db.read("default") as session:
        return await StorageRepository(session, "default").kept_bytes()


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    async with open_api(tmp_path / "home") as api:
        yield api


async def test_a_bento_whose_blobs_are_gone_is_not_recorded(api: Api, tmp_path: Path) -> None:
    """STORE_003 in the transaction that would end the job; with its blobs there the build is recorded."""
    await api.ok("POST", "/models", json={"name": "digits"})
    await api.push("digits", {"model.onnx": tiny_onnx()})
    build = await api.ok("POST", "/builds", json={"model": "digits"})
    platform = api.platform
    handler = handler_of(api, tmp_path)
    task = RecordingTask(job=await api.services.get(JobService).get("default", build["job_id"]))
    for blobs_are_there in (False, True):
        outcome = await handler.run(task)
        assert outcome.apply is not None
        if blobs_are_there:
            async with platform.db.write(EVERY_TENANT) as session:
                await outcome.apply(session)
            continue
        await platform.store.delete("default", digest_bytes(b"bento"))
        with pytest.raises(StoreError) as caught:
            async with platform.db.write(EVERY_TENANT) as session:
                await outcome.apply(session)
        assert caught.value.code is ErrorCode.BLOB_CORRUPT
        assert (await api.ok("GET", f"/builds/{build['id']}"))["tag"] is None
    assert (await api.ok("GET", f"/builds/{build['id']}"))["archive_digest"] == digest_bytes(b"bento")


@pytest.mark.parametrize(("more", "state"), [(0, "failed"), (1, "succeeded")])
async def test_a_bento_counts_against_what_the_tenant_may_keep(api: Api, tmp_path: Path, more: int, state: str) -> None:
    """One byte too many is QUOTA_001 after one attempt: nothing is recorded or counted, and no folder is left."""
    await api.ok("POST", "/models", json={"name": "digits"})
    await api.push("digits", {"model.onnx": tiny_onnx()})
    kept = await kept_bytes(api)
    platform, policy = api.platform, LeasePolicy(seconds=30, heartbeat_seconds=0.1, log_bytes=1 << 20)
    worker = Worker(
        JobQueue(platform.db, platform.clock, policy, owner="build-bench"),
        {JobKind.BUILD: handler_of(api, tmp_path, tenant_bytes=kept + more)},
        platform.clock,
        slots=1,
        poll_seconds=0.05,
        drain_seconds=1.0,
    )
    build = await api.ok("POST", "/builds", json={"model": "digits"})
    async with at_work(worker):
        job = await ended_job(api.ok, build["job_id"])
    shown = await api.ok("GET", f"/builds/{build['id']}")
    assert (job["state"], job["attempt"], shown["state"]) == (state, 1, state)
    assert await kept_bytes(api) == kept + more
    assert list((tmp_path / "scratch").glob("*")) == []
    if state == "failed":
        assert job["error"]["code"] == "QUOTA_001"
        assert (shown["tag"], shown["digest"], shown["archive_digest"]) == (None, None, None)
