# SPDX-License-Identifier: Apache-2.0
"""Tunings as the API speaks of them."""

from __future__ import annotations

import msgspec
from pydantic import Field

from registry_api.http.fields import Incoming, Name, Outgoing, Timestamp, Variant, VersionNumber
from registry_api.jobs.schemas import FaultOut
from registry_api.jobs.states import JobState
from registry_api.tunings.values import TuningRecord


class TuningIn(Incoming):
    """A variant to be measured."""

    model: Name
    version: VersionNumber | None = Field(default=None, description="Left out: the one in PRODUCTION, else the newest.")
    variant: Variant | None = Field(default=None, description="Left out: the one that was uploaded.")


class DeviceOut(Outgoing):
    """Where it was measured."""

    fingerprint: str = Field(description="Of the CPU model and the cores; a tuning is for equal ones.")
    cpu: str
    cores: int
    runner: str
    version: str = Field(description="Of the runner's runtime.")
    features: tuple[str, ...] = Field(description="Instruction sets.")


class ChosenOut(Outgoing):
    """What it is served with."""

    instances: int = Field(description="Executions at once.")
    threads: int = Field(description="Inside each.")
    max_rows: int | None = Field(description="The largest batch worth waiting for; null: the model takes no batches.")


class PointOut(Outgoing):
    """One measurement."""

    instances: int
    threads: int
    rows: int
    rows_per_s: float
    p50_ms: float = Field(description="Median of one execution.")


class TuningOut(Outgoing):
    """A tuning."""

    id: str
    tenant: str
    model: str
    version: int
    variant: str
    digest: str = Field(description="Of the variant's manifest.")
    state: JobState
    device: DeviceOut | None
    chosen: ChosenOut | None
    measurements: tuple[PointOut, ...]
    key_id: str | None = Field(description="The key that signed it.")
    job_id: str
    created_at: Timestamp
    finished_at: Timestamp | None
    error: FaultOut | None

    @classmethod
    def of(cls, record: TuningRecord) -> TuningOut:
        """Shows a tuning."""
        source, result = record.source, record.result
        device = chosen = None
        points: tuple[PointOut, ...] = ()
        if result is not None:
            tuning = result.tuning
            device = DeviceOut(fingerprint=tuning.device.fingerprint, **msgspec.structs.asdict(tuning.device))
            chosen = ChosenOut(**msgspec.structs.asdict(tuning.chosen))
            points = tuple(PointOut(**msgspec.structs.asdict(point)) for point in tuning.measurements)
        return cls(
            id=record.id,
            tenant=source.tenant,
            model=source.model,
            version=source.version,
            variant=source.variant,
            digest=source.digest,
            state=record.job.state,
            device=device,
            chosen=chosen,
            measurements=points,
            key_id=None if result is None else result.key_id,
            job_id=record.job.id,
            created_at=record.created_at,
            finished_at=record.job.finished_at,
            error=FaultOut.of(record.job.error),
        )
