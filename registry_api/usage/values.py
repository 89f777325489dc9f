# SPDX-License-Identifier: Apache-2.0
"""Logged requests and usage as values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from core.errors import ErrorCode
from registry_api.tenancy.values import Limits

OK: Final = "ok"
REFUSED: Final = str(ErrorCode.QUOTA_EXCEEDED)  # the code of a request beyond its tenant's limits


class Status(StrEnum):
    """How a request ended."""

    OK = "ok"  # with a result
    FAILED = "failed"  # with an error, or its caller left


class Grouping(StrEnum):
    """What usage is added up by."""

    MODEL = "model"
    KEY = "key"  # the API key, or the issuer and subject of a token
    DAY = "day"  # of UTC


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest:
    """One request as an inference service saw it. Durations are microseconds."""

    tenant: str
    at: datetime  # its end, by the service's clock
    model: str
    version: str | None  # None: refused before a version was found
    request_id: str | None  # None: refused before it was read
    code: str  # 'ok', 'cancelled' or an error code
    protocol: str
    key_id: str
    rows: int
    total_us: int
    queue_us: int | None  # None: not known
    compute_us: int | None  # its share of its batch; None: not known
    runner: str | None
    weight: float  # how many requests it stands for: 1 / the share that was logged
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestQuery:
    """Which requests are wanted: of one tenant, with ``start <= at < end``."""

    tenant: str
    start: datetime
    end: datetime
    model: str | None = None  # None: any
    status: Status | None = None  # None: any


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What was used. Numbers are estimates where only a share of the requests is logged."""

    group: str  # the model, key or day; empty: of everything
    requests: float
    failures: float  # of them
    refused: float  # of the failures: because of the tenant's limits
    rows: float
    compute_seconds: float
    p50_ms: float | None  # None: no requests
    p95_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """What a tenant used within a time, and what it keeps."""

    tenant: str
    start: datetime
    end: datetime
    group_by: Grouping
    total: Used
    groups: Sequence[Used]
    busiest_rate: float  # requests per second of the busiest hour
    stored_bytes: int
    stored_bytes_limit: int  # 0: no limit
    limits: Limits  # on its requests


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of a batch."""

    logged: int  # requests written
    ignored: int  # requests of tenants that do not exist
    repeated: bool  # the batch was here before; nothing was written
