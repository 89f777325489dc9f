# SPDX-License-Identifier: Apache-2.0
"""Settings of what the registry keeps its state in: database and blob store; and the units all settings use."""

from __future__ import annotations

from typing import Annotated, Literal, TypeAlias

from pydantic import Field, SecretStr

from core.secrets.resolving import OwnScheme
from core.settings import Section

PositiveInt: TypeAlias = Annotated[int, Field(gt=0)]
PositiveFloat: TypeAlias = Annotated[float, Field(gt=0)]

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


class DatabaseSettings(Section):
    """Where rows live. ``url`` None: SQLite at ``<home>/registry.db``. All but ``wait_seconds`` is for PostgreSQL."""

    url: str | None = None  # postgresql+asyncpg://role@host/database: the application's role, which owns no table
    owner_url: str | None = None  # the same database as the role that owns the tables; None: the application's
    row_security: Literal["require", "warn"] = "require"  # where the application's role is not bound by it
    wait_seconds: PositiveFloat = 30.0  # how long a writer waits for its turn
    pool_size: PositiveInt = 10  # connections of one process at most
    pool_wait_seconds: PositiveFloat = 10.0  # how long a transaction waits for one of them
    pool_recycle_seconds: PositiveFloat = 1800.0  # an older connection is replaced
    connect_seconds: PositiveFloat = 10.0  # how long making a connection may take
    statement_seconds: PositiveFloat = 30.0  # of one statement
    lock_seconds: PositiveFloat = 10.0  # how long a statement waits for a row or table
    idle_seconds: PositiveFloat = 60.0  # of an open transaction between two statements
    prepared_statements: Annotated[int, Field(ge=0)] = 256  # kept per connection; 0 behind PgBouncer
    migration_lock_seconds: PositiveFloat = 10.0  # how long a migration waits for a table, or for another process's
    migration_statement_seconds: PositiveFloat = 600.0  # of one statement of a migration


class S3Settings(Section):
    """How to reach an ``s3://`` store. See docs/how-to/object-storage.md."""

    endpoint: str | None = None  # https://host of a service that is not AWS
    region: str = "us-east-1"
    access_key: SecretStr | None = None  # both keys are needed: nothing is taken from the machine
    secret_key: SecretStr | None = None
    session_token: SecretStr | None = None  # of temporary credentials
    path_style: bool = True  # the bucket in the path; False: in the host name
    connect_seconds: PositiveFloat = 5.0
    request_seconds: PositiveFloat = 120.0  # one request: one part of an upload, 64 MiB of a download
    retries: Annotated[int, Field(ge=0)] = 5  # of one request
    retry_seconds: PositiveFloat = 60.0  # a request and its retries together
    part_bytes: Annotated[int, Field(ge=5 * MIB)] = 8 * MIB  # of one part of a large object
    parts_in_flight: PositiveInt = 4  # of one object at once; with part_bytes they bound the memory of one upload


class StoreSettings(Section):
    """Where blobs live. ``url`` None: the directory ``<home>/blobs``; else ``file:///path``, ``s3://bucket/prefix``, ``memory://``."""

    url: Annotated[str | None, OwnScheme("file")] = None  # file:// is a folder here, not a secret
    encryption: Literal["off", "on"] = "off"  # of new blobs; both kinds are read. docs/how-to/encryption-at-rest.md
    keys: Literal["file", "vault"] = "file"  # where the keys that wrap data keys are: <home>/keys/encryption, or Vault
    gc_hours: Annotated[float, Field(ge=0)] = 24.0  # between two collections of blobs that nobody needs; 0: never
    s3: S3Settings = S3Settings()
