# SPDX-License-Identifier: Apache-2.0
"""Jobs: the long work behind builds and deployments."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from furoshiki.api import get_request, json_request
from furoshiki.errors import DeadlineExceeded, JobFailed
from furoshiki.logs import LogChunk, follow, read_all
from furoshiki.resource import D, Resource, listing, operation
from furoshiki.steps import Items, Steps, path, pause

ENDED: Final = frozenset({"succeeded", "failed", "cancelled"})
_FIRST_POLL: Final = 0.2  # seconds
_LONGEST_POLL: Final = 2.0  # seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class JobError:
    """Why a job ended without its result."""

    code: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One job."""

    id: str
    kind: str  # "build", "convert", "deploy", "image", "stop" or "tune"
    state: str  # "queued", "running", "succeeded", "failed" or "cancelled"
    progress: float = 0.0  # 0 to 1
    step: str | None = None  # what it is doing, in words
    attempt: int = 0
    max_attempts: int = 1
    error: JobError | None = None
    result: Mapping[str, Any] | None = None
    created_at: datetime
    started_at: datetime | None = None
    finished_at: datetime | None = None

    @property
    def ended(self) -> bool:
        """Whether it will not change any more."""
        return self.state in ENDED


OnJob: TypeAlias = Callable[[Job], None]


class Product(Protocol):
    """What a job makes, such as a build; its state is its job's."""

    @property
    def state(self) -> str:
        """``succeeded`` once it is made."""
        ...

    @property
    def job_id(self) -> str:
        """The job that makes it."""
        ...


M = TypeVar("M", bound=Product)


class Jobs(Resource[D]):
    """``client.jobs``."""

    @listing
    def list(self, *, state: str | None = None, kind: str | None = None) -> Items[Job]:
        """The tenant's jobs, newest first, all or those of one state or kind."""
        query = {name: value for name, value in (("state", state), ("kind", kind)) if value is not None}
        yield from self._api.pages("/jobs", Job, query)

    @operation
    def get(self, job_id: str) -> Steps[Job]:
        """One job."""
        return (yield from self._api.fetch(get_request(path("jobs", job_id)), Job))

    @operation
    def wait(self, job_id: str, *, timeout: float | None = None, progress: OnJob | None = None) -> Steps[Job]:
        """Waits until a job has succeeded.

        Args:
            job_id: The job.
            timeout: Seconds to wait at most; None: as long as it takes.
            progress: Told the job after every look at it.

        Raises:
            JobFailed: With the job's own code if it failed, ``JOB_005`` if it was cancelled.
            DeadlineExceeded: ``TIMEOUT_001``; the job goes on.
        """
        clock = self._api.clock
        end = None if timeout is None else clock.monotonic() + timeout
        delay = _FIRST_POLL
        while True:
            job = yield from Jobs.get.steps(self, job_id)
            if progress is not None:
                progress(job)
            if job.state == "succeeded":
                return job
            if job.ended:
                raise _failure(job)
            if end is not None and clock.monotonic() + delay > end:
                raise DeadlineExceeded(
                    "TIMEOUT_001", f"Job {job.id} is still {job.state} after {timeout:g} s; it goes on without you."
                )
            yield from pause(delay)
            delay = min(_LONGEST_POLL, delay * 1.5)

    @operation
    def cancel(self, job_id: str) -> Steps[Job]:
        """Asks a job to end without its result."""
        return (
            yield from self._api.fetch(json_request("POST", path("jobs", job_id, "cancel"), {}, repeatable=True), Job)
        )

    @listing
    def log(self, job_id: str, *, offset: int = 0) -> Items[LogChunk]:
        """What a job has logged so far, from byte ``offset`` on, in pieces."""
        yield from read_all(self._api, path("jobs", job_id, "log"), offset)

    @listing
    def follow(self, job_id: str, *, offset: int = 0) -> Items[LogChunk]:
        """What a job logs, as it logs it, until it ends."""

        def ended() -> Steps[bool]:
            return (yield from Jobs.get.steps(self, job_id)).ended

        yield from follow(self._api, path("jobs", job_id, "log"), ended, offset)


def until_made(
    owner: Resource[Any], get: Callable[[], Steps[M]], *, timeout: float | None, progress: OnJob | None
) -> Steps[M]:
    """Waits for the job of what ``get`` gets, and gets it again; raises what :meth:`Jobs.wait` does."""
    found = yield from get()
    if found.state != "succeeded":
        yield from Jobs.wait.steps(owner, found.job_id, timeout=timeout, progress=progress)
        found = yield from get()
    return found


def _failure(job: Job) -> JobFailed:
    error = job.error or JobError(code="JOB_005" if job.state == "cancelled" else "JOB_002", message=f"It {job.state}.")
    return JobFailed(error.code, f"Job {job.id} ({job.kind}) {job.state}: {error.message}", details={"job_id": job.id})
