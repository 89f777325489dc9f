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
from registry_api.jobs.interface import JobTask
from registry_api.jobs.service import JobService
from registry_api.jobs.testing import RecordingTask
from registry_api.models.source import Source
from registry_api.products.handler import Tools
from tests.integration.registry_api.rest import Api, open_api, tiny_onnx


class InstantBuilder(BentoBuilder):
    """Packs nothing but a constant."""

    async def build(self, source: Source, scratch: Path, task: JobTask, *, tuning: bytes | None = None) -> Packed:
        (scratch / "bento.tar").write_bytes(b"bento")
        return Packed(archive=scratch / "bento.tar", files=(FileEntry(path="a", size=1, digest=digest_bytes(b"a")),))


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
    options = BuildOptions(bentoml_home=tmp_path, scratch=tmp_path / "scratch")
    builder = InstantBuilder(
        platform.store, platform.keys, platform.clock, wheels=WheelCache(tmp_path, tmp_path), options=options
    )
    tools = Tools(db=platform.db, store=platform.store, keys=platform.keys, clock=platform.clock)
    handler = BuildHandler(tools, builder=builder, options=options)
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
