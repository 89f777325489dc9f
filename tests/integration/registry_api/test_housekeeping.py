# SPDX-License-Identifier: Apache-2.0
"""What expired is removed; what is in use is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from sqlalchemy import func, select

from artifacts.coordination.alone import Alone
from artifacts.coordination.interface import Turn
from artifacts.manifest import FileEntry
from core.clock import ManualClock
from core.errors import NotFound
from registry_api.bootstrap.platform import Platform, open_platform, open_services
from registry_api.db.session import EVERY_TENANT
from registry_api.housekeeping import keep_sweeping, sweep
from registry_api.http.access import Role
from registry_api.http.auth import Principal
from registry_api.models.description import Description, DescriptionService
from registry_api.models.uploads.interface import TenantBlobs
from registry_api.models.uploads.service import UploadService
from registry_api.models.uploads.tables import UploadRow
from registry_api.models.uploads.values import NewUpload
from registry_api.settings.registry import Settings

CALLER = Principal(tenant="default", key_id="k", name="k", roles=frozenset({Role.DEVELOPER}))
WANTED = NewUpload(
    model="digits",
    format="onnx",
    files=(FileEntry(path="model.onnx", size=1, digest="sha256:" + "0" * 64),),
    metadata={},
)


async def test_an_upload_is_gone_when_its_time_is_over(tmp_path: Path) -> None:
    """It is 404 from that moment, before and after the sweep; a younger one stays."""
    clock = ManualClock()
    async with open_platform(Settings(home=tmp_path), clock) as platform, open_services(platform) as services:
        uploads, blobs = services.get(UploadService), services.get(TenantBlobs)  # type: ignore[type-abstract]
        await services.get(DescriptionService).create(CALLER, "digits", Description())
        old = (await uploads.create(CALLER, WANTED)).upload
        clock.advance(23 * 3600)
        young = (await uploads.create(CALLER, WANTED)).upload
        await sweep(platform, blobs)
        assert (await uploads.get("default", old.id)).id == old.id
        clock.advance(3600)
        for _ in range(2):
            with pytest.raises(NotFound):
                await uploads.get("default", old.id)
            assert (await uploads.get("default", young.id)).id == young.id
            await sweep(platform, blobs)


class NobodysTurn(Alone):
    """Another process sweeps."""

    @asynccontextmanager
    async def try_take(self, name: str) -> AsyncIterator[Turn | None]:
        yield None


@pytest.mark.parametrize(("turns", "left"), [(NobodysTurn(), 1), (Alone(), 0)], ids=["another sweeps", "alone"])
async def test_one_process_sweeps(tmp_path: Path, turns: Alone, left: int) -> None:
    """While another process has its turn at it, a sweep is left out."""
    clock = ManualClock()
    async with open_platform(Settings(home=tmp_path), clock) as platform, open_services(platform) as services:
        uploads, blobs = services.get(UploadService), services.get(TenantBlobs)  # type: ignore[type-abstract]
        await services.get(DescriptionService).create(CALLER, "digits", Description())
        await uploads.create(CALLER, WANTED)
        clock.advance(24 * 3600)
        sweeping = asyncio.create_task(keep_sweeping(platform, blobs, turns))
        await asyncio.sleep(0.2)
        async with asyncio.timeout(10):
            while await kept(platform) != left:
                await asyncio.sleep(0.05)
        sweeping.cancel()


async def kept(platform: Platform) -> int | None:
    async with platform.db.read(EVERY_TENANT) as session:
        return await session.scalar(select(func.count()).select_from(UploadRow))
