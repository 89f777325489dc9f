# SPDX-License-Identifier: Apache-2.0
"""What a job is, and what a higher slice implements to have its work done by a worker.

Rules. ``run`` holds no transaction: it reads, works, and returns an :class:`Outcome` whose ``apply`` writes the result in the
very transaction that ends the job. A handler may be killed at any moment and run again by another worker: whatever an
earlier attempt left behind is its business to find and replace.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, TypeAlias

from core.errors import ErrorCode
from registry_api.db.session import Session
from registry_api.jobs.states import JobState

Value: TypeAlias = str | int | float | bool | None
Apply: TypeAlias = Callable[[Session], Awaitable[None]]


class JobKind(StrEnum):
    """What a job does; one handler each."""

    BUILD = "build"  # wraps a variant into a signed Bento
    DEPLOY = "deploy"  # makes what there is of a deployment what is wanted of it
    STOP = "stop"  # ends a deployment
    TUNE = "tune"  # measures a variant on a device
    IMAGE = "image"  # makes an OCI image of a Bento
    CONVERT = "convert"  # makes variants of other formats and precisions, and compares them with their source


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """Why a job has no result, safe to show."""

    code: ErrorCode
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewJob:
    """A job to be written. ``spec`` holds references, never secrets."""

    tenant: str
    kind: JobKind
    spec: Mapping[str, Value]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A job as stored."""

    id: str
    tenant: str
    kind: JobKind
    state: JobState
    spec: Mapping[str, Value]
    progress: float  # 0 to 1
    step: str  # what it does now, in words
    attempt: int  # 0: never started
    max_attempts: int
    cancel_requested: bool
    error: Fault | None  # None: no failure
    result: Mapping[str, Value] | None  # None: no result yet
    created_at: datetime
    started_at: datetime | None  # None: not started
    finished_at: datetime | None  # None: not ended


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right of one worker to run one job until it expires. ``token`` proves it."""

    job: Job
    token: str
    attempt: int  # from 1; beyond ``job.max_attempts`` the job is given up


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """What a heartbeat carries from the worker to the row."""

    progress: float  # 0 to 1
    step: str
    lines: str  # log text since the last heartbeat, each line ended by a newline


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a handler hands back: the result to show, and what to write beside it."""

    result: Mapping[str, Value] = field(default_factory=dict)
    apply: Apply | None = None  # None: nothing beside the result


class JobTask(Protocol):
    """One attempt, as its handler sees it. Both methods are cheap and may be called from any thread."""

    @property
    def job(self) -> Job:
        """The job as it was when it was claimed."""
        ...

    def progress(self, fraction: float, step: str) -> None:
        """Tells how far the attempt is: ``fraction`` from 0 to 1, ``step`` in words."""
        ...

    def log(self, line: str) -> None:
        """Appends a line to the job's log; what exceeds the log's limit is dropped."""
        ...


class JobHandler(Protocol):
    """The work of one kind of job."""

    @property
    def kind(self) -> JobKind:
        """The kind it runs."""
        ...

    @property
    def timeout(self) -> float:
        """Wall time of one attempt in seconds."""
        ...

    async def run(self, task: JobTask) -> Outcome:
        """Does the work. Cancelled when the lease is lost, the time is up or somebody asked for its end.

        Raises:
            TransientError: The attempt may be repeated.
            FuroshikiError: The job fails with this code and message.
        """
        ...

    async def abandon(self, job: Job, fault: Fault) -> Apply | None:
        """Cleans up after a job that ends without a result, in any way: failed, cancelled, out of time or attempts.

        Called outside any transaction; what it returns is applied in the transaction that ends the job.
        """
        ...
