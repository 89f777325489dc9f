# SPDX-License-Identifier: Apache-2.0
"""Logged requests and usage as the API speaks of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BeforeValidator, Field

from registry_api.http.fields import Incoming, Label, Moment, Name, Outgoing, Timestamp, whole
from registry_api.tenancy.schemas import LimitsOut
from registry_api.usage.values import Grouping, LoggedRequest, Taken, UsageReport, Used

MOST_REQUESTS: Final = 1000  # in one batch
_MOST: Final = 1 << 53
_TOKEN: Final = r"^[!-~]+$"  # noqa: S105 - a pattern of printable characters

_Duration: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=_MOST), BeforeValidator(whole)]
_Printable: TypeAlias = Annotated[str, Field(pattern=_TOKEN, min_length=1, max_length=128)]
_Rows: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=(1 << 31) - 1), BeforeValidator(whole)]
_Metadata: TypeAlias = Annotated[dict[Label, Annotated[str, Field(max_length=200)]], Field(max_length=16)]


class LoggedRequestIn(Incoming):
    """One request to be logged. Durations are microseconds."""

    tenant: Name
    at: Moment
    model: Name
    version: Annotated[str, Field(pattern=_TOKEN, max_length=20)] | None = None
    request_id: _Printable | None = None
    code: Annotated[str, Field(pattern=r"^[A-Za-z0-9_]+$", max_length=32)] = "ok"
    protocol: Annotated[str, Field(pattern=r"^[a-z0-9_]+$", max_length=16)]
    key_id: _Printable
    rows: _Rows = 0
    total_us: _Duration
    queue_us: _Duration | None = None
    compute_us: _Duration | None = None
    runner: Annotated[str, Field(pattern=_TOKEN, max_length=64)] | None = None
    weight: Annotated[float, Field(strict=True, ge=1, le=1e6)] = 1.0
    metadata: _Metadata | None = None

    def value(self) -> LoggedRequest:
        """The request as a value."""
        return LoggedRequest(**dict(self))


class BatchIn(Incoming):
    """Requests that one inference service logged, of any tenants."""

    id: Annotated[str, Field(pattern=r"^[0-9a-f]{32}$", description="A batch of this id is taken in once.")]
    requests: Annotated[list[LoggedRequestIn], Field(max_length=MOST_REQUESTS)]


class TakenOut(Outgoing):
    """What became of a batch."""

    logged: int
    ignored: int = Field(description="Requests of tenants that do not exist.")
    repeated: bool = Field(description="The batch was here before; nothing was written.")

    @classmethod
    def of(cls, taken: Taken) -> TakenOut:
        """Shows it."""
        return cls(**asdict(taken))


class LoggedRequestOut(Outgoing):
    """One logged request. Durations are microseconds."""

    at: Timestamp
    model: str
    version: str | None
    request_id: str | None
    code: str = Field(description="`ok`, `cancelled` or an error code.")
    protocol: str
    key_id: str
    rows: int
    total_us: int
    queue_us: int | None
    compute_us: int | None
    runner: str | None
    weight: float = Field(description="How many requests it stands for, where only a share is logged.")
    metadata: dict[str, str] | None

    @classmethod
    def of(cls, request: LoggedRequest) -> LoggedRequestOut:
        """Shows a request."""
        shown: dict[str, Any] = asdict(request)
        del shown["tenant"]
        return cls(**shown)


class UsedOut(Outgoing):
    """What was used; estimates where only a share of the requests is logged."""

    group: str = Field(description="The model, key or day; empty for the total.")
    requests: float
    failures: float
    refused: float = Field(description="Failures because of the tenant's limits.")
    rows: float
    compute_seconds: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None

    @classmethod
    def of(cls, used: Used) -> UsedOut:
        """Shows it."""
        return cls(**asdict(used))


class UsageOut(Outgoing):
    """What a tenant used within whole hours, and what it keeps."""

    tenant: str
    start: Timestamp = Field(serialization_alias="from")
    end: Timestamp = Field(serialization_alias="to")
    group_by: Grouping
    total: UsedOut
    groups: list[UsedOut]
    busiest_rate: float = Field(description="Requests per second of the busiest hour.")
    stored_bytes: int
    stored_bytes_limit: int = Field(description="0: no limit.")
    limits: LimitsOut

    @classmethod
    def of(cls, report: UsageReport) -> UsageOut:
        """Shows a report."""
        return cls(
            tenant=report.tenant,
            start=report.start,
            end=report.end,
            group_by=report.group_by,
            total=UsedOut.of(report.total),
            groups=[UsedOut.of(used) for used in report.groups],
            busiest_rate=report.busiest_rate,
            stored_bytes=report.stored_bytes,
            stored_bytes_limit=report.stored_bytes_limit,
            limits=LimitsOut.of(report.limits),
        )
