# SPDX-License-Identifier: Apache-2.0
"""Has ``python -m runners tune`` measure a variant. What it is told and what it answers: :mod:`runners.tuning.job`.

The child limits its own address space.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec

from artifacts.tuning import MAX_TUNING_BYTES, Point, Tuning
from registry_api.jobs.child import Program, answer_of
from registry_api.jobs.interface import JobTask
from registry_api.models.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureLimits:
    """What the child may use."""

    budget_seconds: float = 60.0  # of all measurements together
    memory_bytes: int = 8 << 30  # address space


class _Step(msgspec.Struct, frozen=True, kw_only=True):
    point: Point
    done: Annotated[float, msgspec.Meta(ge=0, le=1)]

    @property
    def line(self) -> str:
        return f"{self._what}: {self.point.rows_per_s:.0f} rows/s, p50 {self.point.p50_ms:.3f} ms"

    @property
    def now(self) -> str:
        return f"measured {self._what}"

    @property
    def _what(self) -> str:
        return f"{self.point.instances} instances x {self.point.threads} threads x {self.point.rows} rows"


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    tuning: Tuning


_PROGRAM: Final = Program(
    argv=(sys.executable, "-P", "-m", "runners", "tune"),
    name="measuring",
    step=_Step,
    answer=_Answer,
    answer_bytes=MAX_TUNING_BYTES // 2,  # base64 makes it a third longer
    span=(0.1, 0.95),
)


async def measure_in_child(source: Source, scratch: Path, limits: MeasureLimits, task: JobTask) -> Tuning:
    """Has a child measure the bundle in ``scratch/model`` under the policy in ``scratch/trust``.

    Raises:
        JobError: ``JOB_002`` if it cannot; with the child's reason, or its last lines.
    """
    spec = {
        "bundle": str(scratch / "model"),
        "tenant": source.tenant,
        "model": source.model,
        "version": source.version,
        "variant": source.variant,
        "trust": str(scratch / "trust"),
        "answer": str(scratch / "answer.json"),
        "lock": str(scratch.parent / "machine.lock"),
        "budget_s": limits.budget_seconds,
        "memory_bytes": limits.memory_bytes,
    }
    task.progress(_PROGRAM.span[0], "waiting for this machine to measure nothing else")
    return (await answer_of(_PROGRAM, spec, scratch, task)).tuning
