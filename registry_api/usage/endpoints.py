# SPDX-License-Identifier: Apache-2.0
"""Routes of the request log and of usage."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Final, TypeAlias

from fastapi import APIRouter, Depends, Query

from core.errors import ErrorCode as E
from registry_api.http.access import Action
from registry_api.http.auth import Principal, allowed
from registry_api.http.fields import Moment, Name, NamePath
from registry_api.http.pagination import Page, Paging
from registry_api.http.problem import problems
from registry_api.http.services import provided
from registry_api.usage.schemas import BatchIn, LoggedRequestOut, TakenOut, UsageOut
from registry_api.usage.service import UsageService
from registry_api.usage.times import time_range
from registry_api.usage.values import Grouping, RequestQuery, Status

Usage: TypeAlias = Annotated[UsageService, provided(UsageService)]
Reader: TypeAlias = Annotated[Principal, allowed(Action.REQUESTS_READ)]
Writer: TypeAlias = Annotated[Principal, allowed(Action.REQUESTS_WRITE)]
PlatformAdmin: TypeAlias = Annotated[Principal, allowed(Action.TENANTS_MANAGE)]
Since: TypeAlias = Annotated[Moment | None, Query(alias="from", description="At or after.")]
Until: TypeAlias = Annotated[Moment | None, Query(alias="to", description="Before; by default now.")]

_DAY: Final = timedelta(days=1)
_MONTH: Final = timedelta(days=30)

router: Final = APIRouter(tags=["usage"])


def _wanted_requests(
    caller: Reader,
    usage: Usage,
    *,
    since: Since = None,
    until: Until = None,
    model: Name | None = None,
    status: Status | None = None,
) -> RequestQuery:
    start, end = time_range(since, until, now=usage.now(), default=_DAY)
    return RequestQuery(tenant=caller.tenant, start=start, end=end, model=model, status=status)


def _wanted_time(usage: Usage, since: Since = None, until: Until = None) -> tuple[datetime, datetime]:
    return time_range(since, until, now=usage.now(), default=_MONTH)


WantedRequests: TypeAlias = Annotated[RequestQuery, Depends(_wanted_requests)]
WantedTime: TypeAlias = Annotated[tuple[datetime, datetime], Depends(_wanted_time)]


@router.post(
    "/requests",
    summary="Deliver a batch of the request log",
    description="For inference services. A batch that is delivered again changes nothing.",
    responses=problems(),
)
async def deliver_requests(_caller: Writer, body: BatchIn, usage: Usage) -> TakenOut:
    return TakenOut.of(await usage.take(body.id, [request.value() for request in body.requests]))


@router.get(
    "/requests",
    summary="List logged inference requests, newest first",
    description="Of the last 24 hours unless a time is given.",
    responses=problems(),
)
async def list_requests(_caller: Reader, query: WantedRequests, paging: Paging, usage: Usage) -> Page[LoggedRequestOut]:
    return (await usage.page(query, paging)).page(LoggedRequestOut.of)


@router.get(
    "/usage",
    summary="What the tenant used and keeps",
    description="Of the last 30 days unless a time is given, in whole hours (UTC).",
    responses=problems(E.TENANT_NOT_FOUND),
)
async def get_usage(caller: Reader, time: WantedTime, usage: Usage, group_by: Grouping = Grouping.MODEL) -> UsageOut:
    query = RequestQuery(tenant=caller.tenant, start=time[0], end=time[1])
    return UsageOut.of(await usage.report(query, group_by))


@router.get(
    "/tenants/{tenant}/usage",
    summary="What any tenant used and keeps",
    responses=problems(E.TENANT_NOT_FOUND),
)
async def get_tenant_usage(
    _caller: PlatformAdmin, tenant: NamePath, time: WantedTime, usage: Usage, group_by: Grouping = Grouping.MODEL
) -> UsageOut:
    query = RequestQuery(tenant=tenant, start=time[0], end=time[1])
    return UsageOut.of(await usage.report(query, group_by))
