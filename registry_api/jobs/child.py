# SPDX-License-Identifier: Apache-2.0
"""Child processes that do the work of a job: told by ``spec.json`` in the job's folder, they answer with ``answer.json``.

What a child prints goes to the job's log; a line that is the JSON of its :class:`Step` moves the job's progress instead. It
exits with 0 and its answer, or with 3 and ``{"error": {"code", "message"}}``.

Rules. It has its own process group, no settings and no secrets in its environment; its job bounds its wall time. Its answer
is bounded and read strictly; nothing that it wrote is imported or executed here.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Generic, Protocol, TypeVar

import msgspec

from core.errors import ErrorCode, JobError
from registry_api.jobs.interface import JobTask
from registry_api.jobs.process import own_environment, run_child

A = TypeVar("A")

_REFUSED: Final = 3  # exit status of a child that says why in its answer
_SHOWN_LINES: Final = 8  # of what a child printed last, in a message


class Step(Protocol):
    """A line by which a child tells how far it is."""

    @property
    def done(self) -> float:
        """Of the child's work, 0 to 1."""
        ...

    @property
    def line(self) -> str:
        """For the log."""
        ...

    @property
    def now(self) -> str:
        """What the job does now, in words."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Program(Generic[A]):
    """What a child runs and how it speaks."""

    argv: tuple[str, ...]  # the command, to which the path of ``spec.json`` is added
    name: str  # of the process, in messages: "measuring"
    step: type[Step]
    answer: type[A]
    answer_bytes: int  # the most that are read
    span: tuple[float, float]  # of the job's progress, that the child's work takes
    environment: Mapping[str, str] = field(default_factory=dict)  # beside what every child gets


class _Fault(msgspec.Struct, frozen=True, kw_only=True):
    code: str
    message: str


class _Refusal(msgspec.Struct, frozen=True, kw_only=True):
    error: _Fault


async def answer_of(program: Program[A], spec: object, scratch: Path, task: JobTask) -> A:
    """Has a child do what ``spec`` says, in the folder ``scratch``.

    Raises:
        JobError: ``JOB_002`` if it cannot; with the child's reason, or its last lines.
    """
    path = scratch / "spec.json"
    path.write_bytes(msgspec.json.encode(spec))

    def told(line: str) -> bool:
        try:
            step = msgspec.json.decode(line, type=program.step)
        except (msgspec.DecodeError, RecursionError):
            return False
        begin, end = program.span
        task.log(step.line)
        task.progress(begin + (end - begin) * step.done, step.now)
        return True

    environment = {**own_environment(), **program.environment}
    status, last = await run_logged([*program.argv, str(path)], task, cwd=scratch, env=environment, told=told)
    return _read(program, scratch / "answer.json", status, last)


async def run_logged(
    argv: Sequence[str],
    task: JobTask,
    *,
    cwd: Path,
    env: Mapping[str, str],
    told: Callable[[str], bool] = lambda _line: False,
) -> tuple[int, str]:
    """Runs a child of a job and logs what it prints.

    Args:
        argv: The command.
        task: Gets the lines.
        cwd: Its working folder.
        env: Its whole environment.
        told: Takes a line, or says that it is for the log.

    Returns:
        The exit status, negative for a signal, and the last lines of the log.
    """
    last: deque[str] = deque(maxlen=_SHOWN_LINES)

    def log(line: str) -> None:
        if not told(line):
            last.append(line)
            task.log(line)

    status = await run_child(argv, job_id=task.job.id, env=env, cwd=cwd, log=log)
    return status, " | ".join(last)


def _read(program: Program[A], path: Path, status: int, last: str) -> A:
    process = f"The {program.name} process"
    if status not in (0, _REFUSED):
        raise JobError(ErrorCode.JOB_FAILED, f"{process} ended with status {status}: {last}")
    try:
        with path.open("rb") as file:
            data = file.read(program.answer_bytes)
        if status == 0:
            return msgspec.json.decode(data, type=program.answer)
        error = msgspec.json.decode(data, type=_Refusal).error
    except (OSError, msgspec.DecodeError, RecursionError) as fault:
        raise JobError(ErrorCode.JOB_FAILED, f"{process} gave no usable answer: {fault}") from None
    raise JobError(ErrorCode.JOB_FAILED, f"{error.code[:32]}: {error.message[:2000]}")
