# SPDX-License-Identifier: Apache-2.0
"""Jobs in the database: one statement per step, each guarded by what it relies on.

Claiming is a single ``UPDATE … WHERE id = (SELECT … FOR UPDATE SKIP LOCKED) RETURNING``: PostgreSQL locks and skips, SQLite
(which has no row locks and ignores the clause) runs it inside ``BEGIN IMMEDIATE``. Whatever a worker writes later carries
``WHERE lease_token = :token``: a worker whose lease was taken over changes nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Final
from uuid import uuid4

from sqlalchemy import ColumnElement, and_, func, literal, or_, select, update
from sqlalchemy.sql.dml import ReturningUpdate

from core.errors import ErrorCode
from registry_api.db.session import Session
from registry_api.http.pagination import Listing, PageRequest, listing
from registry_api.jobs.interface import Fault, Job, JobKind, Lease, NewJob, Pulse, Value
from registry_api.jobs.log import fit
from registry_api.jobs.states import JobEvent, JobState, move
from registry_api.jobs.tables import JobLogRow, JobRow

CLOCK_SET_BACK: Final = timedelta(minutes=15)
"""By which a clock was set back for certain; longer than any pause before a retry, and than clocks of hosts may differ."""


class JobRepository:
    """Reads and writes jobs inside one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def add(self, new: NewJob, *, max_attempts: int, now: datetime) -> Job:
        """Writes a queued job."""
        row = JobRow(
            id=uuid4().hex,
            tenant=new.tenant,
            kind=new.kind.value,
            state=JobState.QUEUED.value,
            spec=dict(new.spec),
            progress=0.0,
            step="",
            attempt=0,
            max_attempts=max_attempts,
            cancel_requested=False,
            log_size=0,
            run_after=now,
            created_at=now,
        )
        self._session.add(row)
        await self._session.flush()
        return to_job(row)

    async def get(self, tenant: str, job_id: str) -> Job | None:
        """The job, or None if this tenant has none of that id."""
        row = await self._session.scalar(select(JobRow).where(JobRow.id == job_id, JobRow.tenant == tenant))
        return None if row is None else to_job(row)

    async def waiting(self, tenant: str) -> int:
        """How many jobs of the tenant have not ended."""
        count = select(func.count()).where(JobRow.tenant == tenant, JobRow.state.in_(_OPEN))
        return await self._session.scalar(count) or 0

    async def page(
        self, tenant: str, request: PageRequest, *, state: JobState | None, kind: JobKind | None
    ) -> Listing[Job]:
        """Jobs of the tenant, newest first; None: of any state or kind."""
        query = select(JobRow).where(JobRow.tenant == tenant).order_by(JobRow.number.desc()).limit(request.limit + 1)
        if state is not None:
            query = query.where(JobRow.state == state.value)
        if kind is not None:
            query = query.where(JobRow.kind == kind.value)
        if (after := request.position(int)) is not None:
            query = query.where(JobRow.number < after[0])
        rows = (await self._session.scalars(query)).all()
        return listing(rows, request, lambda row: (row.number,)).map(to_job)

    async def claim(
        self, *, kinds: Collection[JobKind], owner: str, token: str, now: datetime, expires_at: datetime
    ) -> Lease | None:
        """Takes the lease of the oldest job that is queued, or running with an expired lease; None if there is none."""
        statement = claim_statement(kinds=kinds, owner=owner, token=token, now=now, expires_at=expires_at)
        row = (await self._session.scalars(statement)).one_or_none()
        return None if row is None else Lease(job=to_job(row), token=token, attempt=row.attempt)

    async def beat(self, lease: Lease, pulse: Pulse, *, expires_at: datetime, log_bytes: int) -> bool | None:
        """Renews the lease and writes progress and log.

        Returns:
            Whether somebody asked for the job's end; None if the lease is lost.
        """
        statement = (
            update(JobRow)
            .where(*_held(lease))
            .values(lease_expires_at=expires_at, progress=pulse.progress, step=pulse.step)
            .returning(JobRow.number, JobRow.cancel_requested, JobRow.log_size)
            .execution_options(synchronize_session=False)
        )
        found = (await self._session.execute(statement)).one_or_none()
        if found is None:
            return None
        data = fit(pulse.lines, size=found.log_size, limit=log_bytes)
        if data:
            self._session.add(JobLogRow(job_number=found.number, start=found.log_size, data=data))
            grown = update(JobRow).where(JobRow.number == found.number).values(log_size=found.log_size + len(data))
            await self._session.execute(grown.execution_options(synchronize_session=False))
        return bool(found.cancel_requested)

    async def end(
        self, lease: Lease, event: JobEvent, *, now: datetime, result: Mapping[str, Value] | None, error: Fault | None
    ) -> bool:
        """Ends the job; False (and nothing written) if the lease is lost."""
        values: dict[str, object] = {"finished_at": now, "attempt": min(lease.attempt, lease.job.max_attempts)}
        if event is JobEvent.SUCCEED:
            values |= {"progress": 1.0, "result": dict(result or {})}
        if error is not None:
            values |= {"error_code": error.code.value, "error_message": error.message}
        return await self._leave(lease, event, values)

    async def give_back(self, lease: Lease, event: JobEvent, *, run_after: datetime) -> bool:
        """Queues the job again (``RELEASE`` or ``RETRY``); False if the lease is lost."""
        attempt = lease.attempt - (event is JobEvent.RELEASE)
        return await self._leave(lease, event, {"run_after": run_after, "attempt": attempt})

    async def request_cancel(self, tenant: str, job_id: str) -> None:
        """Marks the job, unless it has ended, as one whose end was asked for; a queued one becomes due."""
        await self._session.execute(
            update(JobRow)
            .where(JobRow.id == job_id, JobRow.tenant == tenant, JobRow.state.in_(_OPEN))
            .values(cancel_requested=True, run_after=JobRow.created_at)
            .execution_options(synchronize_session=False)
        )

    async def log(self, tenant: str, job_id: str, *, offset: int, limit: int) -> tuple[bytes, int] | None:
        """At most ``limit`` bytes of log from ``offset`` on, and the log's size; None if there is no such job."""
        query = select(JobRow.number, JobRow.log_size).where(JobRow.id == job_id, JobRow.tenant == tenant)
        found = (await self._session.execute(query)).one_or_none()
        if found is None:
            return None
        pieces = select(JobLogRow.start, JobLogRow.data).where(
            JobLogRow.job_number == found.number,
            JobLogRow.start < offset + limit,
            JobLogRow.start + func.length(JobLogRow.data) > offset,
        )
        data = bytearray()
        for start, piece in await self._session.execute(pieces.order_by(JobLogRow.start)):
            data += piece[max(0, offset - start) :]
        return bytes(data[:limit]), found.log_size

    async def _leave(self, lease: Lease, event: JobEvent, values: Mapping[str, object]) -> bool:
        state = move(JobState.RUNNING, event)
        statement = (
            update(JobRow)
            .where(*_held(lease))
            .values(state=state.value, lease_owner=None, lease_token=None, lease_expires_at=None, **values)
            .returning(JobRow.number)
            .execution_options(synchronize_session=False)
        )
        return (await self._session.execute(statement)).one_or_none() is not None


def claim_statement(
    *, kinds: Collection[JobKind], owner: str, token: str, now: datetime, expires_at: datetime
) -> ReturningUpdate[JobRow]:
    """Takes the oldest due job in one statement, whatever the database.

    A time that no clock like ours can have written was written before the clock was set back, and has come.
    """
    not_ours = now + CLOCK_SET_BACK
    due = or_(
        and_(JobRow.state == JobState.QUEUED.value, or_(JobRow.run_after <= now, JobRow.run_after > not_ours)),
        and_(
            JobRow.state == JobState.RUNNING.value,
            or_(JobRow.lease_expires_at <= now, JobRow.lease_expires_at > not_ours + (expires_at - now)),
        ),
    )
    candidate = (
        select(JobRow.number)
        .where(due, JobRow.kind.in_([kind.value for kind in kinds]))
        .order_by(JobRow.number)
        .limit(1)
        .with_for_update(skip_locked=True)
    )
    return (
        update(JobRow)
        .where(JobRow.number == candidate.scalar_subquery())
        .values(
            state=JobState.RUNNING.value,
            lease_owner=owner,
            lease_token=token,
            lease_expires_at=expires_at,
            attempt=JobRow.attempt + 1,
            started_at=func.coalesce(JobRow.started_at, literal(now, JobRow.started_at.type)),
        )
        .returning(JobRow)
        .execution_options(synchronize_session=False)
    )


_OPEN = (JobState.QUEUED.value, JobState.RUNNING.value)


def _held(lease: Lease) -> tuple[ColumnElement[bool], ...]:
    running = JobRow.state == JobState.RUNNING.value
    return JobRow.id == lease.job.id, JobRow.lease_token == lease.token, running


def to_job(row: JobRow) -> Job:
    """The value of a row."""
    error = None
    if row.error_code is not None:
        error = Fault(code=ErrorCode(row.error_code), message=row.error_message or "")
    return Job(
        id=row.id,
        tenant=row.tenant,
        kind=JobKind(row.kind),
        state=JobState(row.state),
        spec=row.spec,
        progress=row.progress,
        step=row.step,
        attempt=min(row.attempt, row.max_attempts),
        max_attempts=row.max_attempts,
        cancel_requested=row.cancel_requested,
        error=error,
        result=row.result,
        created_at=row.created_at,
        started_at=row.started_at,
        finished_at=row.finished_at,
    )
