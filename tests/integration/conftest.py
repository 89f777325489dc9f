# SPDX-License-Identifier: Apache-2.0
"""Real components that tests of several folders share: one process of each for a session, started with the first test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import pytest

from deploy.local.components.oidc import Provider
from deploy.local.components.oidc import oidc as running_oidc
from deploy.local.components.openbao import OpenBao
from deploy.local.components.openbao import openbao as running_openbao
from deploy.local.components.postgres import PostgresDatabase, PostgreSQL
from deploy.local.components.postgres import postgres as running_postgres
from deploy.local.components.redis import RedisServer
from deploy.local.components.redis import redis as running_redis
from deploy.local.components.rgw import ObjectStore
from deploy.local.components.rgw import rgw as running_rgw
from registry_api.bootstrap.platform import open_platform
from registry_api.db import migrations
from registry_api.settings.registry import Settings
from registry_api.settings.storage import DatabaseSettings

CopyPostgres: TypeAlias = Callable[[str], PostgresDatabase]  # from the name of a template that nobody is connected to


@pytest.fixture(scope="session")
def session_redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One for the session; whoever kills it need not start it again."""
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis(session_redis: RedisServer) -> RedisServer:
    """Running and empty."""
    session_redis.start()
    session_redis.flush()
    return session_redis


@pytest.fixture(scope="session")
def oidc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    """One for the session; its keys may be rotated at any time."""
    with running_oidc(tmp_path_factory.mktemp("oidc")) as provider:
        yield provider


@pytest.fixture(scope="session")
def openbao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    """One for the session; whoever seals or kills it brings it back."""
    with running_openbao(tmp_path_factory.mktemp("openbao")) as server:
        yield server


@pytest.fixture(scope="session")
def rgw(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    """One for the session; every test makes a bucket of its own."""
    with running_rgw(tmp_path_factory.mktemp("ceph")) as store:
        yield store


@pytest.fixture(scope="session")
def session_postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgreSQL]:
    """One for the session; whoever stops or kills it starts it again."""
    with running_postgres(tmp_path_factory.mktemp("postgresql")) as server:
        yield server


@pytest.fixture
def postgres(session_postgres: PostgreSQL) -> PostgreSQL:
    """Running."""
    session_postgres.start()
    return session_postgres


@pytest.fixture(scope="session")
def postgres_template(session_postgres: PostgreSQL) -> str:
    """The name of a database with the present schema, to be copied."""
    database = session_postgres.create("furoshiki_template")
    asyncio.run(migrations.migrate(database.owner_url))
    return database.name


@pytest.fixture
def copy_postgres(postgres: PostgreSQL) -> Iterator[CopyPostgres]:
    """Copies a database for one test."""
    names: list[str] = []

    def copy(template: str) -> PostgresDatabase:
        names.append(f"test_{uuid4().hex}")
        return postgres.create(names[-1], template=template)

    yield copy
    postgres.start()
    for name in names:
        postgres.drop(name)


@pytest.fixture
def postgres_database(copy_postgres: CopyPostgres, postgres_template: str) -> PostgresDatabase:
    """A database of one test: the present schema, no rows."""
    return copy_postgres(postgres_template)


@pytest.fixture
def empty_postgres(postgres: PostgreSQL) -> Iterator[PostgresDatabase]:
    """A database without tables."""
    name = f"test_{uuid4().hex}"
    yield postgres.create(name)
    postgres.drop(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request: pytest.FixtureRequest) -> DatabaseSettings:
    """The settings of each kind of database in turn; SQLite's file lies in the registry's home."""
    if request.param == "sqlite":
        return DatabaseSettings()
    found: PostgresDatabase = request.getfixturevalue("postgres_database")
    return DatabaseSettings(url=found.url, owner_url=found.owner_url)


@pytest.fixture(scope="session")
def empty_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The home of a registry on SQLite that was started once and stopped; to be copied."""
    home = tmp_path_factory.mktemp("empty") / "home"

    async def start_once() -> None:
        async with open_platform(Settings(home=home)):
            pass

    asyncio.run(start_once())
    return home
