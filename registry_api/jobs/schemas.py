# SPDX-License-Identifier: Apache-2.0
"""Jobs as the API speaks of them."""

from __future__ import annotations

from pydantic import Field

from core.errors import ErrorCode
from registry_api.http.fields import Outgoing, Timestamp
from registry_api.jobs.interface import Fault, Job, JobKind, Value
from registry_api.jobs.states import JobState


class FaultOut(Outgoing):
    """Why there is no result."""

    code: ErrorCode
    message: str

    @classmethod
    def of(cls, fault: Fault | None) -> FaultOut | None:
        """Shows a fault; None stays None."""
        return None if fault is None else cls(code=fault.code, message=fault.message)


class JobOut(Outgoing):
    """A job."""

    id: str
    kind: JobKind
    state: JobState
    progress: float = Field(ge=0, le=1)
    step: str = Field(description="What it does now, in words.")
    attempt: int = Field(description="0 before the first.")
    max_attempts: int
    cancel_requested: bool = Field(description="Its end was asked for; it ends when its worker sees that.")
    error: FaultOut | None
    result: dict[str, Value] | None
    created_at: Timestamp
    started_at: Timestamp | None
    finished_at: Timestamp | None

    @classmethod
    def of(cls, job: Job) -> JobOut:
        """Shows a job."""
        return cls(
            id=job.id,
            kind=job.kind,
            state=job.state,
            progress=job.progress,
            step=job.step,
            attempt=job.attempt,
            max_attempts=job.max_attempts,
            cancel_requested=job.cancel_requested,
            error=FaultOut.of(job.error),
            result=None if job.result is None else dict(job.result),
            created_at=job.created_at,
            started_at=job.started_at,
            finished_at=job.finished_at,
        )
