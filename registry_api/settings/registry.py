# SPDX-License-Identifier: Apache-2.0
"""The registry's settings: environment variables ``FUROSHIKI_*``, nested by ``__`` (``FUROSHIKI_HTTP__PORT``).

Sizes are bytes and times are seconds unless the name says otherwise. Defaults are those of the embedded registry: one
directory, no other service.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import NoDecode

from core.settings import Section
from core.settings import Settings as CoreSettings
from registry_api.settings.identity import AuthSettings, OidcSettings, TokenSettings, listed
from registry_api.settings.storage import GIB, KIB, MIB, DatabaseSettings, PositiveFloat, PositiveInt, StoreSettings

_SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - a private folder is made in it, mode 0700


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
    replicas: Annotated[int, Field(ge=1, le=1000)] = 16  # instances of one deployment


class UploadSettings(Section):
    """How long an upload may stay open, and a sender silent."""

    ttl_hours: PositiveInt = 24
    idle_seconds: PositiveFloat = 60.0  # longest pause between two chunks of a file
    part_bytes: Annotated[int, Field(ge=MIB, le=GIB)] = 32 * MIB  # of one part of a file that is sent in parts


class InspectionSettings(Section):
    """Limits of the child process that reads an uploaded model."""

    timeout_seconds: PositiveFloat = 120.0
    memory_bytes: PositiveInt = 8 * GIB  # address space
    copy_bytes: PositiveInt = 8 * GIB  # all files of one upload: the child reads a copy of them
    scratch: Literal["auto", "disk", "memory"] = "auto"  # where copies are; auto: in memory where encryption is on
    concurrent: PositiveInt = 2  # children at once
    waiting: PositiveInt = 256  # inspections of all tenants, running or waiting; more are told to come back
    tenant_concurrent: PositiveInt = 1  # children of one tenant at once
    tenant_waiting: PositiveInt = 16  # inspections of one tenant that wait for a child
    remembered: PositiveInt = 1024  # results kept by digest


class ResolveSettings(Section):
    """How long this process repeats its answers to "which version do I mean". Its own changes count at once."""

    cache_seconds: Annotated[float, Field(ge=0, le=5)] = (
        2.0  # what another process changed may be unseen so long; 0: off
    )
    entries: PositiveInt = 10_000  # answers kept, of all tenants


class IdempotencySettings(Section):
    """What is remembered of requests with an Idempotency-Key; see docs/adr/0017."""

    ttl_hours: PositiveInt = 24  # how long a repeat gets the first answer
    tenant_keys: PositiveInt = 100_000  # per tenant; when there are more, a sweep forgets the oldest
    response_bytes: PositiveInt = MIB  # a longer answer is not kept


class WebhookSettings(Section):
    """Where webhooks may be sent, and how; see docs/how-to/webhooks.md."""

    http: bool = False  # receivers without TLS too
    ports: Annotated[frozenset[int], NoDecode, BeforeValidator(listed)] = frozenset(
        {443, 8443}
    )  # with commas; empty: any
    loopback: bool = False  # receivers on this machine too; for tests
    per_tenant: PositiveInt = 50  # webhooks
    timeout_seconds: PositiveFloat = 10.0  # of one attempt, from the look-up of the name to the end of the answer
    response_bytes: PositiveInt = KIB  # the most that is read and kept of an answer
    retry_hours: Annotated[float, Field(ge=0)] = 24.0  # a delivery is tried again for so long
    disable_hours: PositiveFloat = 120.0  # of failures without a success, after which a webhook is switched off
    concurrent: PositiveInt = 16  # deliveries of one worker under way at a time
    per_webhook: PositiveInt = 4  # of them to one webhook
    poll_seconds: PositiveFloat = 1.0  # between two looks for deliveries when there was none
    kept_days: PositiveInt = 30  # deliveries that ended, with their attempts, and events


class DeletionSettings(Section):
    """How long what was deleted can be restored; see docs/how-to/delete-and-restore.md."""

    retention_days: Annotated[float, Field(ge=0, le=36_500)] = 30.0  # of later deletions; 0: until the next sweep


class RequestLogSettings(Section):
    """How long the log of inference requests and the usage by the hour are kept."""

    kept_days: PositiveInt = 30  # single requests
    usage_days: PositiveInt = 400  # hours of usage


class RedisSettings(Section):
    """What processes of one installation tell each other: changes of models, and turns at housekeeping."""

    url: SecretStr | None = None  # redis://… or rediss://…; None: each finds out by itself, within seconds
    prefix: Annotated[str, Field(min_length=1)] = "furoshiki"  # of all keys; the inference services' must be the same
    timeout_s: PositiveFloat = 0.5  # Redis counts as away if it does not answer within


class JobSettings(Section):
    """How workers take, keep and end jobs."""

    poll_seconds: PositiveFloat = 0.5
    lease_seconds: PositiveFloat = 30.0
    heartbeat_seconds: PositiveFloat = 1.0  # also how soon a worker sees a wish to cancel, and a log its lines
    max_attempts: PositiveInt = 3
    log_bytes: PositiveInt = 8 * MIB  # per job
    keep_days: Annotated[float, Field(ge=0)] = 90.0  # an ended job and its log; 0: for ever
    queued: PositiveInt = 1000  # per tenant


class LogSettings(Section):
    """What is written to stderr."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    style: Literal["auto", "json", "console"] = "auto"


class KeySettings(Section):
    """Where signing keys and trust policies are kept; all but ``provider`` and ``co_sign`` is for Vault."""

    provider: Literal["file", "vault"] = "file"  # file: below the home directory; vault: as FUROSHIKI_VAULT__* says
    transit_mount: str = "transit"  # of the engine that signs
    kv_mount: str = "secret"  # of the KV engine, version 2, that keeps the policies
    prefix: str = "furoshiki"  # of every name used in Vault
    co_sign: bool = False  # P-256 co-signatures for tenants whose record does not say 'signing.p256'


class Settings(CoreSettings):
    """Everything the registry and its worker read at start."""

    database: DatabaseSettings = DatabaseSettings()
    store: StoreSettings = StoreSettings()
    http: HttpSettings = HttpSettings()
    limits: LimitSettings = LimitSettings()
    uploads: UploadSettings = UploadSettings()
    inspection: InspectionSettings = InspectionSettings()
    auth: AuthSettings = AuthSettings()
    idempotency: IdempotencySettings = IdempotencySettings()
    resolve: ResolveSettings = ResolveSettings()
    tokens: TokenSettings = TokenSettings()
    oidc: OidcSettings = OidcSettings()
    redis: RedisSettings = RedisSettings()
    jobs: JobSettings = JobSettings()
    webhooks: WebhookSettings = WebhookSettings()
    deletion: DeletionSettings = DeletionSettings()
    request_log: RequestLogSettings = RequestLogSettings()
    keys: KeySettings = KeySettings()
    log: LogSettings = LogSettings()

    @property
    def database_url(self) -> str:
        """The SQLAlchemy URL in use."""
        return self.database.url or f"sqlite+aiosqlite:///{self.home.resolve() / 'registry.db'}"

    @property
    def owner_url(self) -> str:
        """The database as the role that owns its tables."""
        return self.database.owner_url or self.database_url

    @property
    def store_url(self) -> str:
        """The URL of the blob store in use."""
        return self.store.url or (self.home.resolve() / "blobs").as_uri()

    @property
    def keys_dir(self) -> Path:
        """Private signing keys and public trust policies."""
        return self.home.resolve() / "keys"

    @property
    def token_keys_dir(self) -> Path:
        """Private keys that sign the registry's own tokens."""
        return self.keys_dir / "tokens"

    @property
    def admin_key_file(self) -> Path:
        """The first admin key, written once."""
        return self.home.resolve() / "admin.key"

    @property
    def service_key_file(self) -> Path:
        """The first key of the inference service, written once; its role is ``service``."""
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

    @property
    def copies_dir(self) -> Path:
        """Copies of uploads for the inspecting child; in memory, so that an encrypted model is not plain on a disk."""
        where = self.inspection.scratch
        if where == "memory" or (where == "auto" and self.store.encryption == "on"):
            return _SHARED_MEMORY / f"furoshiki-{os.getuid()}"
        return self.scratch_dir
