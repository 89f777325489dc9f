# SPDX-License-Identifier: Apache-2.0
"""Settings that the API workers and the runner of one server share: ``FUROSHIKI_…``, nested by ``__``.

Where the model runs is known when the BentoML service is imported, so :class:`ServingSettings` is read then, and by every
process again.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Final, Literal

from pydantic import Field

from core.settings import Section, Settings
from runners.isolation.options import IsolationOptions, Mode
from runners.remote.limits import WireLimits

# A Bento's own files: src/{core,artifacts,runners,services,model,trust}
HERE: Final = Path(__file__).resolve().parents[1]


class Bundle(Section):
    """The one bundle a built Bento serves."""

    path: Path = HERE / "model"  # folder of the one bundle a built Bento serves


class Trust(Section):
    """Whose signatures count."""

    dir: Path = HERE / "trust"  # <tenant>.json: the keys each tenant trusts
    # What the registry's policies may do: nothing; take away trust; also give it to tenants without a file in ``dir``.
    registry: Literal["ignore", "revoke", "supply"] = "revoke"
    watch_s: float = Field(default=1.0, gt=0, le=5)  # between two looks for what was revoked
    seen_dir: Path | None = (
        None  # newest policies seen, so that a restart goes back to none; not set: <home>/trust-seen
    )


class Http(Section):
    """The API workers."""

    workers: int = Field(default=1, ge=1)  # API workers; more than one share a runner, see topology
    drain_s: float = Field(default=10.0, ge=0)  # how long accepted requests may take to end at a stop


class Batching(Section):
    """Bounds of each model's queue."""

    max_rows: int = Field(default=64, gt=0)  # merged into one execution
    max_request_rows: int = Field(default=4096, gt=0)  # one request may bring
    max_queue_rows: int = Field(default=4096, gt=0)  # waiting per model
    max_queue_bytes: int = Field(default=256 * 2**20, gt=0)  # of inputs waiting per model
    tenant_share: float = Field(
        default=0.75, gt=0, le=1
    )  # of what others leave free of a queue, that a tenant may fill
    max_wait_s: float = Field(default=30.0, gt=0)  # from arrival to result, unless the caller set a deadline
    # Off with source=registry, whatever is set: there the process is shared, and one tenant's model would hold up all.
    inline_below_s: float = Field(default=0.001, ge=0)  # shorter batches run on the loop; 0, source=registry: never


class Runner(Section):
    """How a model uses its device."""

    threads: int = Field(default=1, ge=1)  # threads inside one execution
    instances: int = Field(default=0, ge=0)  # executions in flight per model; 0: as many as the cores allow


class Tuning(Section):
    """What ``furo tune`` measured of a model."""

    use: bool = True  # take instances, threads and max_rows from it where they are not set; it must fit this machine
    path: Path | None = None  # the file; not set: tuning.json beside the bundle's folder


class Split(Section):
    """The connection between API workers and their runner; with topology=split only."""

    socket_dir: Path | None = None  # this user's own folder for the socket; not set: one of BentoML's
    start_s: float = Field(default=120.0, gt=0)  # how long an API worker waits for the runner to load the model
    silence_s: float = Field(default=2.0, gt=0)  # of the runner, after which the service is not ready
    in_flight: int = Field(default=4096, ge=1)  # requests of one API worker waiting for the runner
    in_flight_bytes: int = Field(default=256 * 2**20, ge=1)  # of their inputs
    frame_bytes: int = Field(default=512 * 2**20, ge=2**20, lt=2**32)  # one message between them
    shared_above: int = Field(default=64 * 2**10, ge=1)  # larger tensors of a message go through shared memory
    shared_bytes: int = Field(default=32 * 2**20, ge=2**12)  # shared memory of each direction of each connection

    @property
    def wire(self) -> WireLimits:
        """The bounds of a connection."""
        return WireLimits(**self.model_dump(include={field.name for field in fields(WireLimits)}))


class Isolation(Section):
    """Models in processes of their own. With topology=split the runner is one already, and none of this applies."""

    mode: Mode = "thread"  # a model runs in threads of the process that loads it, or in a process of its own
    start_s: float = Field(default=120.0, gt=0)  # a process may take to load its model
    hang_s: float = Field(default=60.0, gt=0)  # without a sign of life, after which a process is started anew
    memory_bytes: int | None = Field(default=None, gt=0)  # a process may have for itself; not set: no limit


class Log(Section):
    """What is written to stderr."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    style: Literal["auto", "json", "console"] = "auto"
    access: bool = True  # one line per request


class ServingSettings(Settings):
    """What the API workers and the runner read alike."""

    source: Literal["bundle", "registry"] = "bundle" if (HERE / "model").is_dir() else "registry"  # of models
    topology: Literal["embedded", "split"] | None = None  # not set: split for a bundle with several API workers
    bundle: Bundle = Bundle()
    trust: Trust = Trust()
    http: Http = Http()
    batching: Batching = Batching()
    runner: Runner = Runner()
    tuning: Tuning = Tuning()
    split: Split = Split()
    isolation: Isolation = Isolation()
    log: Log = Log()

    @property
    def is_split(self) -> bool:
        """Whether the model runs in a process of its own; with a registry it never does."""
        chosen = self.topology or ("split" if self.http.workers > 1 else "embedded")
        return chosen == "split" and self.source == "bundle"

    @property
    def isolated(self) -> IsolationOptions:
        """Which models get a process of their own."""
        return IsolationOptions(
            **self.isolation.model_dump(),
            inline_below_s=self.batching.inline_below_s,
            wire=self.split.wire,
            log_level=self.log.level,
            log_style=self.log.style,
        )
