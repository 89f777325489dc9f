# SPDX-License-Identifier: Apache-2.0
"""Tunings: how a variant runs fastest on the registry's worker, measured there and signed."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial

from furoshiki.api import get_request, json_request
from furoshiki.jobs import JobError, OnJob, until_made
from furoshiki.resource import D, Resource, listing, operation
from furoshiki.steps import Items, Steps, path


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningDevice:
    """Where something was measured."""

    fingerprint: str  # "sha256:<hex>"; devices of one fingerprint share tunings
    cpu: str
    cores: int
    runner: str
    version: str  # of the runner's runtime
    features: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """One line."""
        return f"{self.cores} cores of {self.cpu}, {self.runner} {self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningChoice:
    """What the variant is served with."""

    instances: int  # executions at once
    threads: int  # inside each
    max_rows: int | None = None  # largest batch worth waiting for; None: the model takes no batches

    @property
    def summary(self) -> str:
        """One line."""
        rows = "" if self.max_rows is None else f", batches up to {self.max_rows} rows"
        return f"{self.instances} instances x {self.threads} threads{rows}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TuningPoint:
    """One measurement."""

    instances: int
    threads: int
    rows: int  # of each execution
    rows_per_s: float
    p50_ms: float  # median of one execution


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """One tuning, made or in the making."""

    id: str
    tenant: str
    model: str
    version: int
    variant: str
    digest: str  # of the variant's manifest
    state: str  # of its job
    device: TuningDevice | None = None  # None until it has succeeded
    chosen: TuningChoice | None = None
    measurements: tuple[TuningPoint, ...] = ()
    key_id: str | None = None  # of the key that signed it
    job_id: str
    error: JobError | None = None
    created_at: datetime
    finished_at: datetime | None = None


class Tunings(Resource[D]):
    """``client.tunings``."""

    @operation
    def create(self, model: str, *, version: int | None = None, variant: str | None = None) -> Steps[Tuning]:
        """Starts to measure a variant on the registry's worker.

        Args:
            model: The model.
            version: Its version; None: the one in production, else the newest.
            variant: Such as ``onnx-fp32/cpu``; None: the version's own.
        """
        fields = {"model": model, "version": version, "variant": variant}
        return (yield from self._api.fetch(json_request("POST", "/tunings", fields), Tuning))

    @operation
    def get(self, tuning_id: str) -> Steps[Tuning]:
        """One tuning."""
        return (yield from self._api.fetch(get_request(path("tunings", tuning_id)), Tuning))

    @listing
    def list(self) -> Items[Tuning]:
        """The tenant's tunings, newest first."""
        yield from self._api.pages("/tunings", Tuning)

    @operation
    def wait(self, tuning_id: str, *, timeout: float | None = None, progress: OnJob | None = None) -> Steps[Tuning]:
        """Waits until a tuning has succeeded.

        Args:
            tuning_id: The tuning.
            timeout: Seconds to wait at most; None: as long as it takes.
            progress: Told the tuning's job after every look at it.

        Raises:
            JobFailed: If it failed.
            DeadlineExceeded: ``TIMEOUT_001``; the tuning goes on.
        """
        get = partial(Tunings.get.steps, self, tuning_id)
        return (yield from until_made(self, get, timeout=timeout, progress=progress))

    @operation
    def document(
        self, model: str, version: int, *, variant: str | None = None, device: str | None = None
    ) -> Steps[bytes]:
        """The newest signed ``tuning.json`` of a version, to lie beside its bundle.

        Args:
            model: The model.
            version: Its version.
            variant: None: the version's own.
            device: Only of devices with this fingerprint; None: of any.

        Raises:
            NotFound: ``TUNING_001`` if there is none.
        """
        wanted = {"variant": variant, "device": device}
        query = {name: value for name, value in wanted.items() if value is not None}
        route = path("models", model, "versions", version, "tuning")
        return (yield from self._api.send(get_request(route, query))).body
