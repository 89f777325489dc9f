# SPDX-License-Identifier: Apache-2.0
"""Settings of the inference service: ``FUROSHIKI_…``, nested by ``__`` (``FUROSHIKI_BATCHING__MAX_ROWS=128``).

Those it shares with the runner of a split server are in :mod:`runners.settings`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, SecretStr

from core.settings import Section
from runners.settings import ServingSettings


def _listed(value: Any) -> Any:
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Algorithms: TypeAlias = Annotated[tuple[Literal["EdDSA", "ES256", "RS256"], ...], BeforeValidator(_listed)]
Tenants: TypeAlias = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class Registry(Section):
    url: str | None = None  # root of the registry, for example http://127.0.0.1:8800
    api_key_file: Path | None = None  # this service's own key, of the role 'service'; needed with source=registry
    fresh_s: float = Field(default=3.0, gt=0)  # seconds an answer of the registry is used without asking again
    grace_s: float = Field(default=300.0, ge=0)  # seconds it is used while the registry cannot be reached
    timeout_s: float = Field(default=30.0, gt=0)  # silence inside a download after which it is given up
    sunset: Literal["warn", "refuse"] = "warn"  # what happens to requests for a version after its sunset
    device: str = Field(default="cpu", pattern=r"^[a-z0-9][a-z0-9._-]*$")  # whose variants are served
    objective: Literal["source", "latency", "throughput", "size", "fidelity"] = (
        "source"  # source: as uploaded, if that runs
    )
    patience_s: float = Field(default=2.0, gt=0)  # the registry counts as out of reach if it answers no question within


class Auth(Section):
    mode: Literal["api_key", "jwt", "both", "open"] = "api_key"  # both: keys and tokens; open: none, loopback only
    open_tenant: str = "default"  # whose models an open service with a registry serves


class TokenIssuer(Section):
    issuer: str = Field(min_length=1)  # what its tokens say in 'iss'
    audience: str = Field(min_length=1)  # what they must have in 'aud'
    jwks: str = Field(min_length=1)  # its key set: path of a file, or https URL (http only on this machine)
    algorithms: Algorithms = ("EdDSA", "ES256", "RS256")  # it may sign with; with commas in between
    tenants: Tenants = ()  # it may speak for, with commas in between; empty: for every tenant
    tenant_claim: str = "tenant"  # claim that names the tenant
    scope_claim: str = "scope"  # claim that lists scopes, as a list or with spaces in between; one must be 'infer'
    leeway_s: float = Field(default=30.0, ge=0, le=300)  # seconds by which its clock and ours may differ


class Jwt(Section):
    issuers: Mapping[str, TokenIssuer] = Field(
        default_factory=dict
    )  # whose tokens are believed, by a name of your choice
    fresh_s: float = Field(default=300.0, gt=0)  # seconds an issuer's keys are used without asking again
    grace_s: float = Field(default=3600.0, ge=0)  # seconds more while they cannot be had
    refetch_s: float = Field(default=10.0, gt=0)  # at least, between two fetches because of unknown key ids
    timeout_s: float = Field(default=2.0, gt=0)  # a key set must be there within


class Redis(Section):
    url: SecretStr | None = None  # redis://… or rediss://…; None: processes share no limits and hear no news
    prefix: str = Field(default="furoshiki", min_length=1)  # of all keys; the registry's must be the same
    timeout_s: float = Field(default=0.5, gt=0)  # Redis counts as away if it does not answer within


class Quota(Section):
    requests_per_second: float | None = Field(default=None, ge=0)  # of tenants whose record sets none; None: no limit
    burst: int | None = Field(default=None, ge=0)  # requests at once after a pause; None: those of one second
    concurrent_requests: int | None = Field(default=None, ge=0)  # under way at a time; None: no limit
    requests_per_hour: int | None = Field(default=None, ge=0)  # of UTC; None: no limit
    requests_per_day: int | None = Field(default=None, ge=0)  # of UTC; None: no limit
    processes: int | None = Field(default=None, ge=1)  # API workers of all servers; None: the workers of this one
    rates_without_redis: Literal["share", "refuse"] = "share"  # while Redis is away: each process its share, or nothing
    windows_without_redis: Literal["share", "refuse"] = "share"  # the same for requests per hour and day


class Limits(Section):
    body_bytes: int = Field(default=64 * 2**20, gt=0)  # whole body of a request
    json_bytes: int = Field(default=4 * 2**20, gt=0)  # its JSON part; larger tensors travel in binary form
    tensor_elements: int = Field(default=64 * 2**20, gt=0)  # of one tensor, before anything is allocated
    bytes_elements: int = Field(default=65_536, gt=0)  # of the BYTES tensors of one request together
    tensors: int = Field(default=64, gt=0)  # inputs of one request
    rank: int = Field(default=16, gt=0)  # dimensions of one tensor
    output_bytes: int = Field(default=256 * 2**20, gt=0)  # tensors of one result
    body_idle_s: float = Field(default=30.0, gt=0)  # silence inside a body after which it is refused
    body_s: float = Field(default=300.0, gt=0)  # a whole body may take, however steadily it comes
    compress_bytes: int = Field(default=4096, gt=0)  # larger results are compressed for clients that accept it
    bodies_bytes: int = Field(default=512 * 2**20, gt=0)  # received so far of all incomplete bodies together


class RequestLog(Section):
    share: float = Field(default=0.0, ge=0, le=1)  # of the requests of tenants that do not ask for all; 0: none
    file: Path | None = None  # JSON lines are appended here; None: to the registry, with this service's own key
    capacity: int = Field(default=50_000, gt=0)  # requests that wait; more are counted and forgotten
    flush_s: float = Field(default=1.0, gt=0)  # between two deliveries


class Metrics(Section):
    open: bool = False  # answer /metrics, which names every tenant and model, to other machines too


class Repository(Section):
    control: bool | None = None  # callers load and unload their tenant's models; None: with source=registry only


class SharedMemory(Section):
    enabled: bool = False  # clients on this machine name files in /dev/shm, which this service then reads and writes
    regions: int = Field(default=64, gt=0)  # registered by one tenant
    bytes: int = Field(default=2**30, gt=0)  # of one tenant's regions together


class Grpc(Section):
    port: int | None = Field(default=None, ge=1, le=65535)  # of the gRPC server; not set: there is none
    host: str = "127.0.0.1"  # address it listens on
    certificate: Path | None = None  # PEM chain; with it and its key the port speaks TLS only
    key: Path | None = None  # PEM private key of the certificate
    client_ca: Path | None = None  # PEM; clients must show a certificate it signed, beside their credential
    calls: int = Field(default=4096, gt=0)  # answered at a time, open streams included; more are refused at once
    connection_calls: int = Field(default=1024, gt=0)  # of one connection at a time; more wait in the client
    stream_requests: int = Field(default=64, gt=0)  # of one stream at a time; more are not read yet
    stream_idle_s: float = Field(default=3600.0, gt=0)  # without a request, after which a stream is ended
    keepalive_s: float = Field(
        default=60.0, gt=0
    )  # of silence, after which a client is asked whether it is still there
    ping_interval_s: float = Field(default=10.0, ge=0)  # a client that asks us more often is disconnected
    reflection: bool = True  # tell clients the services and their messages
    engine: Literal["http2", "grpc"] = "http2"  # who speaks HTTP/2: this process's event loop, or gRPC's C core


class Cache(Section):
    bytes: int = Field(default=2 * 2**30, gt=0)  # model files kept loaded; a larger model is refused
    loads: int = Field(default=2, ge=1)  # models fetched and loaded at a time
    scratch: str = "memory"  # where a download lies until it is loaded: memory (/dev/shm), home, or a folder
    hosts: int = Field(default=2, ge=1)  # processes that fetch and load the same model at a time, with Redis


class InferenceSettings(ServingSettings):
    """Everything the inference service can be told."""

    registry: Registry = Registry()
    auth: Auth = Auth()
    jwt: Jwt = Jwt()
    quota: Quota = Quota()
    redis: Redis = Redis()
    metrics: Metrics = Metrics()
    request_log: RequestLog = RequestLog()
    limits: Limits = Limits()
    grpc: Grpc = Grpc()
    cache: Cache = Cache()
    repository: Repository = Repository()
    shared_memory: SharedMemory = SharedMemory()
