# SPDX-License-Identifier: Apache-2.0
"""Gives the tests of this folder a registry with a worker and one finished build, made once and copied for each test."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from registry_api.deployments.target import DEPLOYMENT_VARIABLE
from registry_api.jobs.process import end_by_variable
from registry_api.settings.worker import WorkerSettings
from tests.integration.registry_api.bench import Bench, open_bench
from tests.integration.registry_api.deployments.site import QUICK, Site
from tests.integration.registry_api.process import RegistryProcess


async def _push_and_build(home: Path, seed: int = 0) -> None:
    async with open_bench(home, WorkerSettings()) as bench:
        await bench.push(seed=seed)
        async with bench.working():
            assert (await bench.build())["state"] == "succeeded"


@pytest.fixture(scope="session")
def built_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a stopped registry that holds model ``digits``, version 1, and one Bento of it."""
    home = tmp_path_factory.mktemp("built") / "home"
    asyncio.run(_push_and_build(home))
    return home


@pytest.fixture(scope="session")
def rebuilt_home(tmp_path_factory: pytest.TempPathFactory, built_home: Path) -> Path:
    """As ``built_home``, with a version 2 that answers differently, and one Bento of it too."""
    home = tmp_path_factory.mktemp("rebuilt") / "home"
    shutil.copytree(built_home, home)
    asyncio.run(_push_and_build(home, seed=10))
    return home


@pytest.fixture
async def changing(tmp_path: Path, rebuilt_home: Path) -> AsyncIterator[Bench]:
    """A bench with two builds, the newest first."""
    shutil.copytree(rebuilt_home, tmp_path / "home")
    async with open_bench(tmp_path / "home", WorkerSettings()) as bench:
        yield bench


@pytest.fixture
async def bench(tmp_path: Path, built_home: Path) -> AsyncIterator[Bench]:
    shutil.copytree(built_home, tmp_path / "home")
    async with open_bench(tmp_path / "home", WorkerSettings()) as bench:
        yield bench


@pytest.fixture
def registry(tmp_path: Path, built_home: Path) -> Iterator[RegistryProcess]:
    subprocess.run(["cp", "-a", str(built_home), str(tmp_path / "home")], check=True)
    with RegistryProcess(tmp_path / "home", **QUICK) as registry:
        yield registry


@pytest.fixture
async def site(registry: RegistryProcess) -> AsyncIterator[Site]:
    async with httpx.AsyncClient(base_url=registry.url, headers=registry.headers, trust_env=False) as client:
        site = Site(registry, client)
        yield site
        for worker in site.workers:
            worker.kill()
            worker.wait()
    for folder in (registry.home / "deployments").glob("*"):
        end_by_variable(DEPLOYMENT_VARIABLE, folder.name)
