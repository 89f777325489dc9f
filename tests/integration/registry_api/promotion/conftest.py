# SPDX-License-Identifier: Apache-2.0
"""Gives the tests of this folder a registry with versions of one model, pushed once per session and kind of database."""

from __future__ import annotations

import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.local.components.postgres import PostgreSQL
from registry_api.settings.storage import DatabaseSettings
from tests.integration.conftest import CopyPostgres
from tests.integration.registry_api.rest import Api, open_api, tiny_onnx
from tests.integration.registry_api.stock import Stock, settings_of, stocked


async def three_versions(api: Api) -> None:
    """Of the model ``digits``."""
    await api.ok("POST", "/models", json={"name": "digits"})
    for seed in range(3):
        await api.push("digits", {"model.onnx": tiny_onnx(), "note.txt": b"%d" % seed})


@pytest.fixture(scope="session")
def three_on_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Stock:
    return stocked(tmp_path_factory.mktemp("three") / "home", three_versions)


@pytest.fixture(scope="session")
def three_on_postgresql(
    tmp_path_factory: pytest.TempPathFactory, session_postgres: PostgreSQL, postgres_template: str
) -> Stock:
    session_postgres.start()
    database = session_postgres.create("furoshiki_three_versions", template=postgres_template)
    return stocked(tmp_path_factory.mktemp("three") / "home", three_versions, database=database)


@pytest.fixture(params=["sqlite", "postgresql"])
def three(request: pytest.FixtureRequest, tmp_path: Path) -> DatabaseSettings:
    """Copies a registry with three versions to ``home``; its database, of each kind in turn."""
    stock: Stock = request.getfixturevalue(f"three_on_{request.param}")
    shutil.copytree(stock.home, tmp_path / "home")
    if stock.database is None:
        return settings_of(None)
    copy: CopyPostgres = request.getfixturevalue("copy_postgres")
    return settings_of(copy(stock.database))


@pytest.fixture
async def digits(tmp_path: Path, three: DatabaseSettings) -> AsyncIterator[Api]:
    """A registry with three versions of one model."""
    async with open_api(tmp_path / "home", database=three) as api:
        yield api
