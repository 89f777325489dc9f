# SPDX-License-Identifier: Apache-2.0
"""Gives the tests of this folder a registry with a worker for tiny images: one with an image, and an empty one."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from registry_api.settings.storage import DatabaseSettings
from tests.integration.registry_api.images.jobs.works import Works
from tests.integration.registry_api.rest import open_api


@dataclass(frozen=True, kw_only=True)
class Stock:
    """A stopped registry with one version, its Bento and an image of it; to be copied, never opened."""

    folder: Path  # ``home`` is the registry's, ``works`` its worker's
    build: dict[str, Any]
    image: dict[str, Any]


async def _stocked(folder: Path) -> Stock:
    async with open_api(folder / "home") as api:
        works = Works(api=api, root=folder / "works")
        async with works.working():
            build = await works.build()
            image = await works.image(build)
    return Stock(folder=folder, build=build, image=image)


@pytest.fixture(scope="session")
def stock(tmp_path_factory: pytest.TempPathFactory) -> Stock:
    """Made once; every test has a copy."""
    return asyncio.run(_stocked(tmp_path_factory.mktemp("images")))


@pytest.fixture
async def works(tmp_path: Path, stock: Stock) -> AsyncIterator[Works]:
    """On SQLite, with what is in stock."""
    shutil.copytree(stock.folder, tmp_path, dirs_exist_ok=True)
    async with open_api(tmp_path / "home") as api:
        yield Works(api=api, root=tmp_path / "works", built=stock.build, made=stock.image)


@pytest.fixture
async def works_of_each(tmp_path: Path, database: DatabaseSettings) -> AsyncIterator[Works]:
    """On SQLite and on PostgreSQL, empty."""
    async with open_api(tmp_path / "home", database=database) as api:
        yield Works(api=api, root=tmp_path / "works")
