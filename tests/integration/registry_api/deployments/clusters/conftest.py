# SPDX-License-Identifier: Apache-2.0
"""Gives the tests of this folder a registry with two images, a cluster's stand-in and a real registry of images."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.local.components.docker_registry import DockerRegistry, docker_registry
from registry_api.deployments.kubernetes.testing import ClusterServer
from tests.integration.registry_api.bench import QUICK, Bench
from tests.integration.registry_api.deployments.clusters.yard import (
    NAMESPACE,
    Yard,
    new_depot,
    own_settings,
    settings_of,
)
from tests.integration.registry_api.images.jobs.works import Works
from tests.integration.registry_api.rest import open_api

_ATTEMPTS = 5


@dataclass(frozen=True, kw_only=True)
class Stock:
    """A stopped registry with two versions and a small real image of each; to be copied, never opened."""

    home: Path
    images: list[dict[str, Any]]


async def _stocked(folder: Path) -> Stock:
    async with open_api(folder / "home") as api:
        works = Works(api=api, root=folder / "works")
        async with works.working():
            images = [await works.image(await works.build(seed=seed)) for seed in (0, 10)]
    assert [each["state"] for each in images] == ["succeeded"] * 2
    return Stock(home=folder / "home", images=images)


@pytest.fixture(scope="package")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Stock:
    """Made once; every test has a copy."""
    return asyncio.run(_stocked(tmp_path_factory.mktemp("stock")))


@pytest.fixture(scope="package")
def pulls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DockerRegistry]:
    """Where clusters pull from: TLS of an authority of its own, and a login."""
    with docker_registry(tmp_path_factory.mktemp("pulls"), basic=True, tls=True) as server:
        yield server


@pytest.fixture
async def yard(tmp_path: Path, stock: Stock, pulls: DockerRegistry) -> AsyncIterator[Yard]:
    """A registry with two images and nothing deployed."""
    shutil.copytree(stock.home, tmp_path / "home")
    server, depot = ClusterServer(namespace=NAMESPACE), new_depot(pulls)
    jobs = QUICK.model_copy(update={"max_attempts": _ATTEMPTS, "lease_seconds": 1.0})
    with server.running():
        own = own_settings(settings_of(server, depot, tmp_path))
        async with open_api(tmp_path / "home", jobs=jobs) as api:
            bench = Bench(api=api, home=tmp_path / "home", own=own)
            yield Yard(bench=bench, server=server, depot=depot, images=stock.images)
