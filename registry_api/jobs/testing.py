# SPDX-License-Identifier: Apache-2.0
"""For tests of whoever uses jobs: handlers made of functions, and a task that remembers what was said to it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from registry_api.jobs.interface import Apply, Fault, Job, JobKind, JobTask, Outcome


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
