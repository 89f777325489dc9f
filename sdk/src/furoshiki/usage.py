# SPDX-License-Identifier: Apache-2.0
"""What a tenant used of the inference services, and what it keeps in the registry."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from furoshiki.api import get_request
from furoshiki.requests import within
from furoshiki.resource import D, Resource, operation
from furoshiki.steps import Steps, path
from furoshiki.tenants import TenantLimits


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """What was used; estimates where only a share of the requests is logged."""

    group: str  # the model, key or day; empty for the total
    requests: float
    failures: float
    refused: float  # failures because of the tenant's limits
    rows: float
    compute_seconds: float
    p50_ms: float | None = None  # None: no requests
    p95_ms: float | None = None
    p99_ms: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UsageReport:
    """What one tenant used within whole hours, beside its limits."""

    tenant: str
    group_by: str
    total: Used
    groups: tuple[Used, ...]
    busiest_rate: float  # requests per second of the busiest hour
    stored_bytes: int
    stored_bytes_limit: int  # 0: no limit
    limits: TenantLimits


class Usage(Resource[D]):
    """``client.usage``; needs the role ``model-admin`` or ``tenant-admin``, of any tenant ``platform-admin``."""

    @operation
    def report(
        self,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        group_by: str = "model",
        tenant: str | None = None,
    ) -> Steps[UsageReport]:
        """What was used.

        Args:
            start: Aware time; its hour is included. None: 30 days before ``end``.
            end: Aware time, not included; None: now.
            group_by: ``model``, ``key`` or ``day``.
            tenant: Another tenant, for a platform administrator; None is the caller's.
        """
        where = "/usage" if tenant is None else path("tenants", tenant, "usage")
        query = within(start, end, group_by=group_by)
        return (yield from self._api.fetch(get_request(where, query), UsageReport))
