# SPDX-License-Identifier: Apache-2.0
"""Settings of the inference service: ``FUROSHIKI_…``, nested by ``__`` (``FUROSHIKI_BATCHING__MAX_ROWS=128``)."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.settings import Settings

# A Bento's own files: src/{core,artifacts,runners,services,model,trust}
_HERE: Final = Path(__file__).resolve().parents[2]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")  # other processes share the prefix


class Bundle(_Section):
    path: Path = _HERE / "model"  # folder of the one bundle a built Bento serves


class Registry(_Section):
    url: str | None = None  # root of the registry, for example http://127.0.0.1:8800
    api_key_file: Path | None = None  # this service's own key, of scope 'serve'; needed with source=registry
    fresh_s: float = Field(default=5.0, gt=0)  # seconds an answer of the registry is used without asking again
    grace_s: float = Field(default=300.0, ge=0)  # seconds it is used while the registry cannot be reached
    timeout_s: float = Field(default=30.0, gt=0)  # silence inside a download after which it is given up
    patience_s: float = Field(default=2.0, gt=0)  # the registry counts as out of reach if it answers no question within


class Auth(_Section):
    mode: Literal["api_key", "open"] = "api_key"  # open: no credential; only while listening on loopback
    open_tenant: str = "default"  # whose models an open service with a registry serves


class Trust(_Section):
    dir: Path = _HERE / "trust"  # <tenant>.json: the keys each tenant trusts


class Limits(_Section):
    body_bytes: int = Field(default=64 * 2**20, gt=0)  # whole body of a request
    json_bytes: int = Field(default=4 * 2**20, gt=0)  # its JSON part; larger tensors travel in binary form
    tensor_elements: int = Field(default=64 * 2**20, gt=0)  # of one tensor, before anything is allocated
    bytes_elements: int = Field(default=65_536, gt=0)  # of the BYTES tensors of one request together
    tensors: int = Field(default=64, gt=0)  # inputs of one request
    rank: int = Field(default=16, gt=0)  # dimensions of one tensor
    output_bytes: int = Field(default=256 * 2**20, gt=0)  # tensors of one result
    body_idle_s: float = Field(default=30.0, gt=0)  # silence inside a body after which it is refused
    bodies_bytes: int = Field(default=512 * 2**20, gt=0)  # received so far of all incomplete bodies together


class Http(_Section):
    drain_s: float = Field(default=10.0, ge=0)  # how long accepted requests may take to end at a stop


class Metrics(_Section):
    open: bool = False  # answer /metrics, which names every tenant and model, to other machines too


class Batching(_Section):
    max_rows: int = Field(default=64, gt=0)  # merged into one execution
    max_request_rows: int = Field(default=4096, gt=0)  # one request may bring
    max_queue_rows: int = Field(default=4096, gt=0)  # waiting per model
    max_queue_bytes: int = Field(default=256 * 2**20, gt=0)  # of inputs waiting per model
    max_wait_s: float = Field(default=30.0, gt=0)  # from arrival to result, unless the caller set a deadline
    # Off with source=registry, whatever is set: there the process is shared, and one tenant's model would hold up all.
    inline_below_s: float = Field(default=0.001, ge=0)  # shorter batches run on the loop; 0, source=registry: never


class Runner(_Section):
    threads: int = Field(default=1, ge=1)  # threads inside one execution
    instances: int = Field(default=1, ge=1)  # executions in flight per model


class Cache(_Section):
    bytes: int = Field(default=2 * 2**30, gt=0)  # model files kept loaded; a larger model is refused
    loads: int = Field(default=2, ge=1)  # models fetched and loaded at a time


class Log(_Section):
    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    style: Literal["auto", "json", "console"] = "auto"
    access: bool = True  # one line per request


class InferenceSettings(Settings):
    """Everything the inference service can be told."""

    source: Literal["bundle", "registry"] = "bundle" if (_HERE / "model").is_dir() else "registry"  # of models
    bundle: Bundle = Bundle()
    registry: Registry = Registry()
    auth: Auth = Auth()
    trust: Trust = Trust()
    http: Http = Http()
    metrics: Metrics = Metrics()
    limits: Limits = Limits()
    batching: Batching = Batching()
    runner: Runner = Runner()
    cache: Cache = Cache()
    log: Log = Log()
