# SPDX-License-Identifier: Apache-2.0
"""Has ``python -m converters run`` convert a variant. What it is told and what it answers: :mod:`converters.spec`.

The child bounds time and memory of each step itself. Cancelling the job ends its whole process group.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec

from converters.spec import ConvertAnswer, ConvertSpec
from registry_api.conversions.values import Plan
from registry_api.jobs.child import Program, answer_of
from registry_api.jobs.interface import JobTask
from registry_api.models.source import Source

PROGRAM: Final = (sys.executable, "-P", "-m", "converters", "run")
OUTPUT: Final = "output"
MAX_ANSWER_BYTES: Final = 16 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertLimits:
    """What the child may use, and which program it is."""

    budget_seconds: float = 1200.0  # of all steps together
    memory_bytes: int = 16 << 30  # address space of each step
    state: Path | None = None  # folder where converters keep environments of their own; None: their default
    program: tuple[str, ...] = PROGRAM  # another one in tests


class _Step(msgspec.Struct, frozen=True, kw_only=True):
    stage: str
    done: Annotated[float, msgspec.Meta(ge=0, le=1)]
    message: str

    @property
    def line(self) -> str:
        return f"{self.stage}: {self.message}"

    @property
    def now(self) -> str:
        return self.line


async def convert_in_child(
    source: Source, plan: Plan, scratch: Path, limits: ConvertLimits, task: JobTask
) -> ConvertAnswer:
    """Has a child convert the bundle in ``scratch/model`` under the policy in ``scratch/trust``.

    Calibration data lies in ``scratch/calibration``, if the plan names any; what is made lies in ``scratch/output``.

    Raises:
        JobError: ``JOB_002`` if it cannot; with the child's reason, or its last lines.
    """
    (scratch / OUTPUT).mkdir(mode=0o700)
    program = Program(
        argv=limits.program,
        name="converting",
        step=_Step,
        answer=ConvertAnswer,
        answer_bytes=MAX_ANSWER_BYTES,
        span=(0.1, 0.9),
        environment={} if limits.state is None else {"FUROSHIKI_CONVERTERS_STATE": str(limits.state)},
    )
    task.progress(program.span[0], "converting")
    return await answer_of(program, _spec(source, plan, scratch, limits), scratch, task)


def _spec(source: Source, plan: Plan, scratch: Path, limits: ConvertLimits) -> ConvertSpec:
    return ConvertSpec(
        bundle=str(scratch / "model"),
        tenant=source.tenant,
        model=source.model,
        version=source.version,
        variant=source.variant,
        trust=str(scratch / "trust"),
        target=plan.target.variant,
        route=plan.route,
        calibration=None if plan.calibration is None else str(scratch / "calibration"),
        thresholds=None if plan.thresholds is None else dict(plan.thresholds),
        auto=plan.auto,
        output=str(scratch / OUTPUT),
        answer=str(scratch / "answer.json"),
        budget_s=limits.budget_seconds,
        memory_bytes=limits.memory_bytes,
    )
