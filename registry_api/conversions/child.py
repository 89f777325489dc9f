# SPDX-License-Identifier: Apache-2.0
"""Runs ``python -m converters run`` and reads what it made. What it is told and what it answers: :mod:`converters.spec`.

The child has its own process group, no settings and no secrets in its environment; it bounds time and memory of each step
itself and its job bounds all of it. Cancelling ends the group. Nothing it wrote is imported or executed here.
"""

from __future__ import annotations

import sys
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final

import msgspec

from converters.spec import ConvertAnswer, ConvertSpec
from core.errors import ErrorCode, JobError
from registry_api.conversions.values import Plan
from registry_api.jobs.interface import JobTask
from registry_api.jobs.process import plain_environment, run_child
from registry_api.models.source import Source

REPOSITORY: Final = Path(__file__).resolve().parents[2]
PROGRAM: Final = (sys.executable, "-P", "-m", "converters", "run")
OUTPUT: Final = "output"
MAX_ANSWER_BYTES: Final = 16 << 20
_REFUSED: Final = 3  # exit status of a child that says why in its answer
_SHOWN_LINES: Final = 8
_BEGIN, _END = 0.1, 0.9  # of the job's progress, that converting takes


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


class _Fault(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    message: str


class _Refusal(msgspec.Struct, frozen=True, kw_only=True):
    error: _Fault


_STEP: Final = msgspec.json.Decoder(_Step)


async def convert_in_child(
    source: Source, plan: Plan, scratch: Path, limits: ConvertLimits, task: JobTask
) -> ConvertAnswer:
    """Has a child convert the bundle in ``scratch/model`` under the policy in ``scratch/trust``.

    Calibration data lies in ``scratch/calibration``, if the plan names any; what is made lies in ``scratch/output``.

    Raises:
        JobError: ``JOB_002`` if it cannot; with the child's reason, or its last lines.
    """
    (scratch / OUTPUT).mkdir(mode=0o700)
    (scratch / "spec.json").write_bytes(msgspec.json.encode(_spec(source, plan, scratch, limits)))
    own = {} if limits.state is None else {"FUROSHIKI_CONVERTERS_STATE": str(limits.state)}
    talk: deque[str] = deque(maxlen=_SHOWN_LINES)
    task.progress(_BEGIN, "converting")
    status = await run_child(
        [*limits.program, str(scratch / "spec.json")],
        job_id=task.job.id,
        env={**plain_environment(), **own, "PYTHONPATH": str(REPOSITORY)},
        cwd=scratch,
        log=lambda line: _told(line, task, talk),
    )
    return _read(status, scratch / "answer.json", talk)


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


def _told(line: str, task: JobTask, talk: deque[str]) -> None:
    try:
        step = _STEP.decode(line)
    except msgspec.DecodeError:
        talk.append(line)
        task.log(line)
        return
    task.log(f"{step.stage}: {step.message}")
    task.progress(_BEGIN + (_END - _BEGIN) * step.done, f"{step.stage}: {step.message}"[:200])


def _read(status: int, path: Path, talk: deque[str]) -> ConvertAnswer:
    if status not in (0, _REFUSED):
        raise JobError(ErrorCode.JOB_FAILED, f"The converting process ended with status {status}: " + " | ".join(talk))
    try:
        with path.open("rb") as file:
            data = file.read(MAX_ANSWER_BYTES + 1)
        if status == 0:
            return msgspec.json.decode(data, type=ConvertAnswer)
        error = msgspec.json.decode(data, type=_Refusal).error
    except (OSError, msgspec.DecodeError, RecursionError) as fault:
        raise JobError(ErrorCode.JOB_FAILED, f"The converting process gave no usable answer: {fault}") from None
    raise JobError(ErrorCode.JOB_FAILED, f"{error.code[:32]}: {error.message[:2000]}")
