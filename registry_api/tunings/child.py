# SPDX-License-Identifier: Apache-2.0
"""Runs ``python -m runners tune`` and reads what it measured. What it is told and what it answers: :mod:`runners.tuning.job`.

The child has its own process group, no settings and no secrets in its environment, and a limit on its address space; its job
bounds its wall time. Nothing in the bundle's folder is ever imported.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Final, TypeAlias

import msgspec

from artifacts.tuning import MAX_TUNING_BYTES, Point, Tuning
from core.errors import ErrorCode, JobError
from registry_api.jobs.interface import JobTask
from registry_api.jobs.process import plain_environment, run_child
from registry_api.models.source import Source

REPOSITORY: Final = Path(__file__).resolve().parents[2]
_REFUSED: Final = 3  # exit status of a child that says why in its answer
_SHOWN_LINES: Final = 8
_BEGIN, _END = 0.1, 0.95  # of the job's progress, that measuring takes


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureLimits:
    """What the child may use."""

    budget_seconds: float = 60.0  # of all measurements together
    memory_bytes: int = 8 << 30  # address space


Measure: TypeAlias = Callable[[Source, Path, MeasureLimits, JobTask], Awaitable[Tuning]]


class _Step(msgspec.Struct, frozen=True, kw_only=True):
    point: Point
    done: Annotated[float, msgspec.Meta(ge=0, le=1)]


class _Fault(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    message: str


class _Answer(msgspec.Struct, frozen=True, kw_only=True):
    tuning: Tuning | None = None
    error: _Fault | None = None


_STEP: Final = msgspec.json.Decoder(_Step)
_ANSWER: Final = msgspec.json.Decoder(_Answer)


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
    (scratch / "spec.json").write_bytes(msgspec.json.encode(spec))
    talk: deque[str] = deque(maxlen=_SHOWN_LINES)
    task.progress(_BEGIN, "waiting for this machine to measure nothing else")
    status = await run_child(
        [sys.executable, "-P", "-m", "runners", "tune", str(scratch / "spec.json")],
        job_id=task.job.id,
        env={**plain_environment(), "PYTHONPATH": str(REPOSITORY)},
        cwd=scratch,
        log=lambda line: _told(line, task, talk),
    )
    return _read(status, scratch / "answer.json", talk)


def _told(line: str, task: JobTask, talk: deque[str]) -> None:
    try:
        step = _STEP.decode(line)
    except msgspec.DecodeError:
        talk.append(line)
        task.log(line)
        return
    point = step.point
    what = f"{point.instances} instances x {point.threads} threads x {point.rows} rows"
    task.log(f"{what}: {point.rows_per_s:.0f} rows/s, p50 {point.p50_ms:.3f} ms")
    task.progress(_BEGIN + (_END - _BEGIN) * step.done, f"measured {what}")


def _read(status: int, path: Path, talk: deque[str]) -> Tuning:
    if status in (0, _REFUSED):
        try:
            with path.open("rb") as file:
                answer = _ANSWER.decode(file.read(MAX_TUNING_BYTES // 2))  # base64 makes it a third longer
        except (OSError, msgspec.DecodeError) as error:
            raise JobError(ErrorCode.JOB_FAILED, f"The measuring process gave no usable answer: {error}") from None
        if answer.tuning is not None:
            return answer.tuning
        if answer.error is not None:
            raise JobError(ErrorCode.JOB_FAILED, f"{answer.error.code[:32]}: {answer.error.message[:2000]}")
    raise JobError(ErrorCode.JOB_FAILED, f"The measuring process ended with status {status}: " + " | ".join(talk))
