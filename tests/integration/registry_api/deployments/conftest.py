# SPDX-License-Identifier: Apache-2.0
"""Gives the tests of this folder a registry with a worker and one finished build, made once and copied for each test."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry_api.settings.worker import WorkerSettings
from tests.integration.registry_api.bench import Bench, open_bench


async def _push_and_build(home: Path) -> None:
    async with open_bench(home, WorkerSettings()) as bench:
        await bench.push()
        async with bench.working():
            assert (await bench.build())["state"] == "succeeded"


@pytest.fixture(scope="session")
def built_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a stopped registry that holds model ``digits``, version 1, and one Bento of it."""
    home = tmp_path_factory.mktemp("built") / "home"
    asyncio.run(_push_and_build(home))
    return home


@pytest.fixture
async def bench(tmp_path: Path, built_home: Path) -> AsyncIterator[Bench]:
    shutil.copytree(built_home, tmp_path / "home")
    async with open_bench(tmp_path / "home", WorkerSettings()) as bench:
        yield bench
