# SPDX-License-Identifier: Apache-2.0
"""Two processes of the registry, Redis, and the catalog of an inference service: what one commits the others know at once."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from artifacts.coordination.link import Link
from artifacts.coordination.news import News
from artifacts.keys.file import FileTrust
from core.clock import SystemClock
from core.errors import ModelError
from deploy.local.components.redis import RedisServer
from furoshiki import Client
from runners.batching.policy import BatchLimits
from runners.bundles import ModelLoader
from runners.cache import ModelCache
from runners.interface import RunnerOptions
from services.dataplane.catalog.registry import RegistryCatalog
from services.dataplane.registry import RegistryGateway
from services.dataplane.trust.live import LiveTrust
from services.dataplane.trust.seen import SeenPolicies
from services.edge.context import Principal
from tests.integration.registry_api.process import RegistryProcess
from tests.integration.registry_api.rest import tiny_onnx

FRESH_S = 60.0  # nothing in these tests is found out by looking
WHO = Principal(tenant="default", key_id="k")


@pytest.fixture(scope="module")
def registries(session_redis: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[RegistryProcess]]:
    """Two processes on one home."""
    session_redis.start()
    home = tmp_path_factory.mktemp("registry") / "home"
    with (
        RegistryProcess(home, FUROSHIKI_REDIS__URL=session_redis.url) as first,
        RegistryProcess(home, FUROSHIKI_REDIS__URL=session_redis.url) as second,
    ):
        yield [first, second]


@pytest.fixture
def client(registries: list[RegistryProcess]) -> Iterator[Client]:
    with Client(registries[0].url, api_key=registries[0].admin_key) as client:
        yield client


@asynccontextmanager
async def catalog_of(registry: RegistryProcess, redis: RedisServer) -> AsyncIterator[RegistryCatalog]:
    """The catalog of an inference service that asks this process of the registry and hears the news."""
    clock = SystemClock()
    key = (registry.home / "service.key").read_text().strip()
    trust = LiveTrust(
        FileTrust(registry.home / "keys" / "trust"), SeenPolicies(registry.home.parent / "seen"), clock=clock
    )
    catalog = RegistryCatalog(
        RegistryGateway(registry.url, api_key=key, timeout_s=5, patience_s=5),
        trust=trust,
        loader=ModelLoader(clock=clock, limits=BatchLimits(), options=RunnerOptions()),
        cache=ModelCache(capacity=1 << 20),
        clock=clock,
        fresh_s=FRESH_S,
        grace_s=FRESH_S,
        loads=1,
        scratch=None,
    )
    link = Link(redis.url, timeout_s=0.5, clock=clock)
    news = News(link, prefix="furoshiki")
    news.listen(catalog.forget)
    try:
        yield catalog
    finally:
        await news.close()
        await link.close()
        await catalog.close()


async def until_it_means(catalog: RegistryCatalog, model: str, version: str, *, within_s: float) -> float:
    """Seconds until the model's name means that version."""
    began = time.perf_counter()
    async with asyncio.timeout(within_s):
        while True:
            try:
                if await catalog.resolve(WHO, model, None) == version:
                    return time.perf_counter() - began
            except ModelError:
                pass
            await asyncio.sleep(0.002)


def push(client: Client, model: str, folder: Path, seed: int) -> None:
    file = folder / "model.onnx"
    file.write_bytes(tiny_onnx(seed))
    client.models.push(model, file)


async def test_a_promotion_is_served_within_a_second(
    redis: RedisServer, registries: list[RegistryProcess], client: Client, tmp_path: Path
) -> None:
    """Registration, promotion and its reverse, told to one process and asked of the other; absence is forgotten, too."""
    async with catalog_of(registries[1], redis) as catalog:
        with pytest.raises(ModelError):
            await catalog.resolve(WHO, "digits", None)
        took = []
        for number in (1, 2):
            await asyncio.to_thread(push, client, "digits", tmp_path, number)
            took.append(await until_it_means(catalog, "digits", str(number), within_s=5))
        for number in (1, 2, 1, 2, 1):
            if client.versions.get("digits", number).stage != "STAGING":
                await asyncio.to_thread(client.versions.stage, "digits", number, "STAGING", reason="test")
            await asyncio.to_thread(client.versions.stage, "digits", number, "PRODUCTION", reason="test")
            took.append(await until_it_means(catalog, "digits", str(number), within_s=5))
    print(f"until served, in ms: {sorted(round(1000 * s) for s in took)}")
    assert statistics.median(took) < 1.0


async def test_what_was_missed_while_redis_was_away_is_served_when_it_is_back(
    redis: RedisServer, registries: list[RegistryProcess], client: Client, tmp_path: Path
) -> None:
    """The registry works without Redis; an empty Redis that comes back makes the service look."""
    async with catalog_of(registries[1], redis) as catalog:
        await asyncio.to_thread(push, client, "iris", tmp_path, 1)
        await until_it_means(catalog, "iris", "1", within_s=5)
        redis.kill()
        await asyncio.to_thread(push, client, "iris", tmp_path, 2)
        assert await catalog.resolve(WHO, "iris", None) == "1"
        redis.start()
        await until_it_means(catalog, "iris", "2", within_s=15)
        await asyncio.to_thread(push, client, "iris", tmp_path, 3)
        await until_it_means(catalog, "iris", "3", within_s=10)
