# SPDX-License-Identifier: Apache-2.0
"""Routes of jobs."""

from __future__ import annotations

from typing import Annotated, Any, Final, TypeAlias

from fastapi import APIRouter, Query
from fastapi.responses import Response

from core.errors import ErrorCode as E
from registry_api.http.auth import JobCreator, JobReader
from registry_api.http.fields import MAX_BYTES, IdPath
from registry_api.http.pagination import Page, Paging
from registry_api.http.problem import problems
from registry_api.http.services import provided
from registry_api.jobs.interface import JobKind
from registry_api.jobs.schemas import JobOut
from registry_api.jobs.service import JobService
from registry_api.jobs.states import JobState

Jobs: TypeAlias = Annotated[JobService, provided(JobService)]
Offset: TypeAlias = Annotated[int, Query(ge=0, le=MAX_BYTES, description="The first byte wanted.")]

TEXT: Final = "text/plain; charset=utf-8"

router: Final = APIRouter(tags=["jobs"])


def log_text() -> dict[str, Any]:
    """The documentation of a piece of a log."""
    number = {"schema": {"type": "integer"}}
    return {
        "description": "The log from `offset` on, at most 1 MiB of it.",
        "headers": {
            "X-Log-Size": {"description": "Bytes ever written.", **number},
            "X-Log-Offset": {"description": "Where the piece starts.", **number},
        },
        "content": {"text/plain": {"schema": {"type": "string"}}},
    }


def log_response(data: bytes, *, start: int, size: int) -> Response:
    """A piece of a log; ``start`` is the offset of its first byte, ``size`` the bytes ever written."""
    return Response(data, media_type=TEXT, headers={"X-Log-Size": str(size), "X-Log-Offset": str(start)})


@router.get("/jobs", summary="List jobs, newest first", responses=problems())
async def list_jobs(
    caller: JobReader, paging: Paging, jobs: Jobs, state: JobState | None = None, kind: JobKind | None = None
) -> Page[JobOut]:
    return (await jobs.page(caller.tenant, paging, state=state, kind=kind)).page(JobOut.of)


@router.get("/jobs/{job}", summary="Get a job", responses=problems(E.JOB_NOT_FOUND))
async def get_job(caller: JobReader, job: IdPath, jobs: Jobs) -> JobOut:
    return JobOut.of(await jobs.get(caller.tenant, job))


@router.get(
    "/jobs/{job}/log",
    summary="Read a job's log",
    response_class=Response,
    responses={200: log_text(), **problems(E.JOB_NOT_FOUND)},
)
async def get_job_log(caller: JobReader, job: IdPath, jobs: Jobs, offset: Offset = 0) -> Response:
    log = await jobs.log(caller.tenant, job, offset=offset)
    return log_response(log.data, start=min(offset, log.size), size=log.size)


@router.post(
    "/jobs/{job}/cancel",
    status_code=202,
    summary="Ask for a job's end",
    description="The job ends when its worker sees the wish; one that has ended stays as it is.",
    responses=problems(E.JOB_NOT_FOUND),
)
async def cancel_job(caller: JobCreator, job: IdPath, jobs: Jobs) -> JobOut:
    return JobOut.of(await jobs.cancel(caller.tenant, job))
