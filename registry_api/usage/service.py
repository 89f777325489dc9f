# SPDX-License-Identifier: Apache-2.0
"""Takes the request log in, and answers what was asked and used."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final, TypeAlias

from core.clock import Clock
from core.errors import ErrorCode, InvalidRequest, NotFound
from core.telemetry.logs import get_logger
from registry_api.db.session import EVERY_TENANT, Database, Session
from registry_api.http.pagination import Listing, PageRequest, listing
from registry_api.tenancy.repository import TenantRepository
from registry_api.tenancy.values import Tenant
from registry_api.usage.histogram import add, percentile
from registry_api.usage.repository import UsageRepository, hour_of
from registry_api.usage.tables import UsageHourRow
from registry_api.usage.times import from_cursor, to_cursor
from registry_api.usage.values import Grouping, LoggedRequest, RequestQuery, Taken, UsageReport, Used

KeptBytes: TypeAlias = Callable[[Session, str], Awaitable[int]]

_MOST_HOURS: Final = 100_000  # rows added up for one report
_HOUR: Final = 3600.0

_log = get_logger(__name__)


class UsageService:
    """The request log and usage of tenants.

    Args:
        db: Where they are.
        clock: For the times batches arrive.
        kept_bytes: What a tenant stores.
        tenant_bytes: What it may store; 0: no limit.
    """

    def __init__(self, db: Database, clock: Clock, *, kept_bytes: KeptBytes, tenant_bytes: int) -> None:
        self._db = db
        self._clock = clock
        self._kept_bytes = kept_bytes
        self._tenant_bytes = tenant_bytes

    def now(self) -> datetime:
        """The time that questions without one are about."""
        return self._clock.now()

    async def take(self, batch: str, requests: Sequence[LoggedRequest]) -> Taken:
        """Writes a batch of requests of any tenants and adds them to the usage; exactly once per id of a batch."""
        async with self._db.write(EVERY_TENANT) as session:
            usage = UsageRepository(session)
            if not await usage.begin_batch(batch, self._clock.now()):
                return Taken(logged=0, ignored=0, repeated=True)
            known = await usage.tenants({request.tenant for request in requests})
            kept = [request for request in requests if request.tenant in known]
            await usage.log(kept)
        return Taken(logged=len(kept), ignored=len(requests) - len(kept), repeated=False)

    async def page(self, query: RequestQuery, request: PageRequest) -> Listing[LoggedRequest]:
        """Logged requests, newest first.

        Raises:
            InvalidRequest: ``VALID_002`` if the cursor comes from another list.
        """
        position = request.position(int, int)
        after = None if position is None else (from_cursor(position[0]), position[1])
        async with self._db.read(query.tenant) as session:
            rows = await UsageRepository(session).page(query, after=after, limit=request.limit + 1)
        numbered = listing(rows, request, lambda row: (to_cursor(row[1].at), row[0]))
        return Listing(items=tuple(found for _number, found in numbered.items), next_cursor=numbered.next_cursor)

    async def report(self, query: RequestQuery, group_by: Grouping) -> UsageReport:
        """What a tenant used within whole hours, and what it keeps.

        Raises:
            NotFound: ``TENANT_001`` if there is no such tenant.
            InvalidRequest: ``VALID_002`` if there are more hours, models and keys than one report adds up.
        """
        name = query.tenant
        async with self._db.read(name) as session:
            tenant = await TenantRepository(session).get(name)
            if tenant is None:
                raise NotFound(ErrorCode.TENANT_NOT_FOUND, f"There is no tenant {name[:63]!r}.")
            hours = await UsageRepository(session).hours(name, hour_of(query.start), query.end, limit=_MOST_HOURS + 1)
            stored = await self._kept_bytes(session, name)
        if len(hours) > _MOST_HOURS:
            raise InvalidRequest(
                ErrorCode.INVALID_FIELD, "from, to: too much was used in that time for one report. Ask for less time."
            )
        return self._summed(tenant, query, group_by, hours, stored)

    def _summed(
        self, tenant: Tenant, query: RequestQuery, group_by: Grouping, hours: Sequence[UsageHourRow], stored: int
    ) -> UsageReport:
        groups: dict[str, list[UsageHourRow]] = {}
        rates: dict[float, float] = {}
        for row in hours:
            groups.setdefault(_group(row, group_by), []).append(row)
            moment = row.hour.timestamp()
            rates[moment] = rates.get(moment, 0.0) + row.requests / _HOUR
        return UsageReport(
            tenant=tenant.name,
            start=hour_of(query.start),
            end=query.end,
            group_by=group_by,
            total=_used("", hours),
            groups=[_used(name, rows) for name, rows in sorted(groups.items())],
            busiest_rate=max(rates.values(), default=0.0),
            stored_bytes=stored,
            stored_bytes_limit=self._tenant_bytes,
            limits=tenant.limits,
        )


async def sweep_requests(db: Database, clock: Clock, *, kept_days: int, usage_days: int) -> int:
    """Removes requests and hours that are older than they are kept; how many rows."""
    now = clock.now()
    removed = 0
    async with db.write(EVERY_TENANT) as session:
        usage = UsageRepository(session)
        tenants = await usage.all_tenants()
        removed += await usage.forget_hours(now - timedelta(days=usage_days))
        removed += await usage.forget_batches(now - timedelta(days=kept_days))
    for tenant in tenants:
        gone = 1
        while gone:
            async with db.write(tenant) as session:
                gone = await UsageRepository(session).forget_requests(tenant, now - timedelta(days=kept_days))
            removed += gone
    if removed:
        _log.info("request_log_swept", rows=removed)
    return removed


def _group(row: UsageHourRow, group_by: Grouping) -> str:
    match group_by:
        case Grouping.MODEL:
            return row.model
        case Grouping.KEY:
            return row.key_id
        case Grouping.DAY:
            return row.hour.date().isoformat()


def _used(group: str, rows: Iterable[UsageHourRow]) -> Used:
    rows = list(rows)
    latencies: dict[str, float] = {}
    for row in rows:
        add(latencies, row.latencies)
    return Used(
        group=group,
        requests=sum(row.requests for row in rows),
        failures=sum(row.failures for row in rows),
        refused=sum(row.refused for row in rows),
        rows=sum(row.rows for row in rows),
        compute_seconds=sum(row.compute_seconds for row in rows),
        p50_ms=percentile(latencies, 0.5),
        p95_ms=percentile(latencies, 0.95),
        p99_ms=percentile(latencies, 0.99),
    )
