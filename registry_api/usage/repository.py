# SPDX-License-Identifier: Apache-2.0
"""The request log and the hourly usage in the database.

A batch, its requests and what they add to the hours are one transaction: delivered twice, a batch counts once, and there
is nothing to catch up with. Hours are locked in the order of their keys, so batches never wait for each other in a circle.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from sqlalchemy import ColumnElement, delete, insert, literal_column, select, tuple_

from registry_api.db.inserting import insert_into
from registry_api.db.session import Session
from registry_api.tenancy.tables import TenantRow
from registry_api.usage.histogram import add, bin_of
from registry_api.usage.tables import InferenceRequestRow, RequestBatchRow, UsageHourRow
from registry_api.usage.values import OK, REFUSED, LoggedRequest, RequestQuery, Status

HourKey: TypeAlias = tuple[str, datetime, str, str]  # tenant, hour, model, key

_GONE_AT_ONCE: Final = 5000  # rows of one sweep's transaction
_KEY: Final = (UsageHourRow.tenant, UsageHourRow.hour, UsageHourRow.model, UsageHourRow.key_id)


class UsageRepository:
    """Reads and writes inside one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def begin_batch(self, batch: str, now: datetime) -> bool:
        """Notes a batch; False if it was noted before."""
        statement = (
            insert_into(self._session, RequestBatchRow).values(id=batch, received_at=now).on_conflict_do_nothing()
        )
        found = await self._session.execute(statement.returning(RequestBatchRow.id))
        return found.one_or_none() is not None

    async def tenants(self, names: Collection[str]) -> set[str]:
        """Those of ``names`` that are tenants."""
        return set(await self._session.scalars(select(TenantRow.name).where(TenantRow.name.in_(names))))

    async def log(self, requests: Sequence[LoggedRequest]) -> None:
        """Writes requests and adds them to their hours."""
        if not requests:
            return
        await self._session.execute(insert(InferenceRequestRow), [_columns(request) for request in requests])
        await self._add(_by_hour(requests))

    async def _add(self, hours: dict[HourKey, dict[str, Any]]) -> None:
        keys = sorted(hours)
        empty = [_empty(key) for key in keys]
        await self._session.execute(insert_into(self._session, UsageHourRow).on_conflict_do_nothing(), empty)
        for start in range(0, len(keys), 200):
            wanted = keys[start : start + 200]
            query = select(UsageHourRow).where(tuple_(*_KEY).in_(wanted)).order_by(*_KEY).with_for_update()
            for row in await self._session.scalars(query):
                _grow(row, hours[row.tenant, row.hour, row.model, row.key_id])
        await self._session.flush()

    async def page(
        self, query: RequestQuery, *, after: tuple[datetime, int] | None, limit: int
    ) -> list[tuple[int, LoggedRequest]]:
        """Requests, newest first, each with its number.

        Args:
            query: Which.
            after: Time and number of the last one seen; None starts with the newest.
            limit: At most so many.
        """
        row = InferenceRequestRow
        statement = (
            select(row)
            .where(row.tenant == query.tenant, row.at >= query.start, row.at < query.end)
            .order_by(row.at.desc(), row.number.desc())
            .limit(limit)
        )
        if query.model is not None:
            statement = statement.where(row.model == query.model)
        if query.status is not None:
            statement = statement.where(_of_status(query.status))
        if after is not None:
            statement = statement.where(tuple_(row.at, row.number) < after)
        return [(found.number, _value(found)) for found in await self._session.scalars(statement)]

    async def hours(self, tenant: str, start: datetime, end: datetime, *, limit: int) -> list[UsageHourRow]:
        """At most ``limit`` hours of a tenant with ``start <= hour < end``."""
        query = (
            select(UsageHourRow)
            .where(UsageHourRow.tenant == tenant, UsageHourRow.hour >= start, UsageHourRow.hour < end)
            .limit(limit)
        )
        return list(await self._session.scalars(query))

    async def forget_requests(self, tenant: str, before: datetime) -> int:
        """Removes some requests of a tenant that ended before a moment; how many."""
        row = InferenceRequestRow
        old = select(row.number).where(row.tenant == tenant, row.at < before).order_by(row.at).limit(_GONE_AT_ONCE)
        return await self._removed(delete(row).where(row.number.in_(old)).returning(row.number))

    async def forget_hours(self, before: datetime) -> int:
        """Removes the hours that began before a moment; how many."""
        row = UsageHourRow
        return await self._removed(delete(row).where(row.hour < before).returning(row.hour))

    async def forget_batches(self, before: datetime) -> int:
        """Removes the ids of batches that arrived before a moment; how many."""
        row = RequestBatchRow
        return await self._removed(delete(row).where(row.received_at < before).returning(row.id))

    async def all_tenants(self) -> list[str]:
        """The names of all tenants."""
        return list(await self._session.scalars(select(TenantRow.name).order_by(TenantRow.name)))

    async def _removed(self, statement: Any) -> int:
        found = await self._session.execute(statement.execution_options(synchronize_session=False))
        return len(found.all())


def _of_status(status: Status) -> ColumnElement[bool]:
    ok: ColumnElement[str] = literal_column(f"'{OK}'")  # a parameter would not match the condition of the partial index
    return InferenceRequestRow.code == ok if status is Status.OK else InferenceRequestRow.code != ok


def hour_of(moment: datetime) -> datetime:
    """The begin of the hour (UTC) of a moment."""
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _by_hour(requests: Iterable[LoggedRequest]) -> dict[HourKey, dict[str, Any]]:
    hours: dict[HourKey, dict[str, Any]] = {}
    for request in requests:
        key = (request.tenant, hour_of(request.at), request.model, request.key_id)
        hour = hours.get(key)
        if hour is None:
            hour = hours[key] = _empty(key)
        weight = request.weight
        hour["requests"] += weight
        hour["failures"] += weight * (request.code != OK)
        hour["refused"] += weight * (request.code == REFUSED)
        hour["rows"] += weight * request.rows
        hour["compute_seconds"] += weight * (request.compute_us or 0) / 1e6
        add(hour["latencies"], {bin_of(request.total_us): weight})
    return hours


def _empty(key: HourKey) -> dict[str, Any]:
    tenant, hour, model, key_id = key
    numbers = dict.fromkeys(("requests", "failures", "refused", "rows", "compute_seconds"), 0.0)
    return {"tenant": tenant, "hour": hour, "model": model, "key_id": key_id, **numbers, "latencies": {}}


def _grow(row: UsageHourRow, more: dict[str, Any]) -> None:
    row.requests += more["requests"]
    row.failures += more["failures"]
    row.refused += more["refused"]
    row.rows += more["rows"]
    row.compute_seconds += more["compute_seconds"]
    latencies = dict(row.latencies)
    add(latencies, more["latencies"])
    row.latencies = latencies


def _columns(request: LoggedRequest) -> dict[str, Any]:
    return {
        "tenant": request.tenant,
        "at": request.at,
        "model": request.model,
        "version": request.version,
        "request_id": request.request_id,
        "code": request.code,
        "protocol": request.protocol,
        "key_id": request.key_id,
        "rows": request.rows,
        "total_us": request.total_us,
        "queue_us": request.queue_us,
        "compute_us": request.compute_us,
        "runner": request.runner,
        "weight": request.weight,
        "details": None if request.metadata is None else dict(request.metadata),
    }


def _value(row: InferenceRequestRow) -> LoggedRequest:
    return LoggedRequest(
        tenant=row.tenant,
        at=row.at,
        model=row.model,
        version=row.version,
        request_id=row.request_id,
        code=row.code,
        protocol=row.protocol,
        key_id=row.key_id,
        rows=row.rows,
        total_us=row.total_us,
        queue_us=row.queue_us,
        compute_us=row.compute_us,
        runner=row.runner,
        weight=row.weight,
        metadata=row.details,
    )
