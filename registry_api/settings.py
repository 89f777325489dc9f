# SPDX-License-Identifier: Apache-2.0
"""The registry's settings: environment variables ``FUROSHIKI_*``, nested by ``__`` (``FUROSHIKI_HTTP__PORT``).

Sizes are bytes and times are seconds unless the name says otherwise. Defaults are those of the embedded registry: one
directory, no other service.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field

from core.settings import Settings as CoreSettings

PositiveInt: TypeAlias = Annotated[int, Field(gt=0)]
PositiveFloat: TypeAlias = Annotated[float, Field(gt=0)]

KIB, MIB, GIB = 1 << 10, 1 << 20, 1 << 30


class Section(BaseModel):
    """A group of settings; variables of other processes that share its prefix are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class DatabaseSettings(Section):
    """Where rows live. ``url`` None: SQLite at ``<home>/registry.db``."""

    url: str | None = None
    wait_seconds: PositiveFloat = 30.0  # how long a writer waits for its turn


class StoreSettings(Section):
    """Where blobs live. ``url`` None: the directory ``<home>/blobs``; otherwise ``file:///path`` or ``memory://``."""

    url: str | None = None


class HttpSettings(Section):
    """The listening address of the registry."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8800
    keep_alive_seconds: PositiveInt = 30
    drain_seconds: PositiveInt = 10  # how long running requests may take to end at a stop
    body_seconds: PositiveFloat = 30.0  # how long the body of a request that is not a file may take to arrive


class LimitSettings(Section):
    """What one request, tenant or model may use."""

    upload_bytes: PositiveInt = 5 * GIB  # per file
    upload_files: PositiveInt = 1000  # per upload
    open_uploads: PositiveInt = 1000  # per tenant
    tenant_bytes: Annotated[int, Field(ge=0)] = 100 * GIB  # per tenant: stored and declared; 0 is no limit
    json_bytes: PositiveInt = MIB  # body of any request that is not a file
    json_depth: PositiveInt = 32  # nesting of arrays and objects in a JSON body


class UploadSettings(Section):
    """How long an upload may stay open, and a sender silent."""

    ttl_hours: PositiveInt = 24
    idle_seconds: PositiveFloat = 60.0  # longest pause between two chunks of a file


class InspectionSettings(Section):
    """Limits of the child process that reads an uploaded model."""

    timeout_seconds: PositiveFloat = 120.0
    memory_bytes: PositiveInt = 8 * GIB  # address space
    copy_bytes: PositiveInt = 8 * GIB  # all files of one upload: the child reads a copy of them
    concurrent: PositiveInt = 2  # children at once
    waiting: PositiveInt = 256  # inspections of all tenants, running or waiting; more are told to come back
    tenant_concurrent: PositiveInt = 1  # children of one tenant at once
    tenant_waiting: PositiveInt = 16  # inspections of one tenant that wait for a child
    remembered: PositiveInt = 1024  # results kept by digest


class AuthSettings(Section):
    """How credentials are checked."""

    cache_seconds: Annotated[float, Field(ge=0, le=5)] = 2.0  # a revoked key works at most this long elsewhere


class JobSettings(Section):
    """How workers take, keep and end jobs."""

    poll_seconds: PositiveFloat = 0.5
    lease_seconds: PositiveFloat = 30.0
    heartbeat_seconds: PositiveFloat = 1.0  # also how soon a worker sees a wish to cancel, and a log its lines
    max_attempts: PositiveInt = 3
    log_bytes: PositiveInt = 8 * MIB  # per job
    queued: PositiveInt = 1000  # per tenant


class LogSettings(Section):
    """What is written to stderr."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    style: Literal["auto", "json", "console"] = "auto"


class Settings(CoreSettings):
    """Everything the registry and its worker read at start."""

    database: DatabaseSettings = DatabaseSettings()
    store: StoreSettings = StoreSettings()
    http: HttpSettings = HttpSettings()
    limits: LimitSettings = LimitSettings()
    uploads: UploadSettings = UploadSettings()
    inspection: InspectionSettings = InspectionSettings()
    auth: AuthSettings = AuthSettings()
    jobs: JobSettings = JobSettings()
    log: LogSettings = LogSettings()

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL in use."""
        return self.database.url or f"sqlite+aiosqlite:///{self.home.resolve() / 'registry.db'}"

    @property
    def store_url(self) -> str:
        """The URL of the blob store in use."""
        return self.store.url or (self.home.resolve() / "blobs").as_uri()

    @property
    def keys_dir(self) -> Path:
        """Private signing keys and public trust policies."""
        return self.home.resolve() / "keys"

    @property
    def admin_key_file(self) -> Path:
        """The first admin key, written once."""
        return self.home.resolve() / "admin.key"

    @property
    def service_key_file(self) -> Path:
        """The first key of the inference service, written once; its scope is ``serve``."""
        return self.home.resolve() / "service.key"

    @property
    def bentoml_home(self) -> Path:
        """BENTOML_HOME of builds and deployments."""
        return self.home.resolve() / "bentoml"

    @property
    def deployments_dir(self) -> Path:
        """One directory per running deployment."""
        return self.home.resolve() / "deployments"

    @property
    def scratch_dir(self) -> Path:
        """Private temporary directories of child processes."""
        return self.home.resolve() / "scratch"
