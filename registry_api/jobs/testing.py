# SPDX-License-Identifier: Apache-2.0
"""For tests of whoever uses jobs: a job, handlers made of functions, and a task that remembers what was said to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from registry_api.jobs.interface import Apply, Fault, Job, JobKind, JobTask, Outcome
from registry_api.jobs.states import JobState


def a_job(**changes: Any) -> Job:
    """A job of the tenant acme in its first attempt; ``changes`` are fields."""
    fields: dict[str, Any] = {
        "id": uuid4().hex,
        "tenant": "acme",
        "kind": JobKind.BUILD,
        "state": JobState.RUNNING,
        "spec": {},
        "progress": 0.0,
        "step": "",
        "attempt": 1,
        "max_attempts": 3,
        "cancel_requested": False,
        "error": None,
        "result": None,
        "created_at": datetime(2026, 1, 1, tzinfo=UTC),
        "started_at": None,
        "finished_at": None,
    }
    return Job(**fields | changes)


async def _nothing(_job: Job, _fault: Fault) -> Apply | None:
    return None


@dataclass(kw_only=True)
class FunctionHandler:
    """A :class:`registry_api.jobs.interface.JobHandler` whose work is a coroutine function."""

    work: Callable[[JobTask], Awaitable[Outcome]]
    cleanup: Callable[[Job, Fault], Awaitable[Apply | None]] = _nothing
    kind: JobKind = JobKind.BUILD
    timeout: float = 60.0  # seconds

    async def run(self, task: JobTask) -> Outcome:
        """Does the work."""
        return await self.work(task)

    async def abandon(self, job: Job, fault: Fault) -> Apply | None:
        """Cleans up."""
        return await self.cleanup(job, fault)


@dataclass(kw_only=True)
class RecordingTask:
    """A :class:`registry_api.jobs.interface.JobTask` outside any worker."""

    job: Job
    lines: list[str] = field(default_factory=list)
    steps: list[tuple[float, str]] = field(default_factory=list)

    def progress(self, fraction: float, step: str) -> None:
        """Remembers the step."""
        self.steps.append((fraction, step))

    def log(self, line: str) -> None:
        """Remembers the line."""
        self.lines.append(line)
