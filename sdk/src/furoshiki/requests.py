# SPDX-License-Identifier: Apache-2.0
"""The log of inference requests."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from furoshiki.resource import D, Resource, listing
from furoshiki.steps import Items, QueryValue


@dataclass(frozen=True, slots=True, kw_only=True)
class LoggedRequest:
    """One request as an inference service saw it. Durations are microseconds."""

    at: datetime
    model: str
    version: str | None = None  # None: refused before a version was found
    request_id: str | None = None  # None: refused before it was read
    code: str  # 'ok', 'cancelled' or an error code
    protocol: str
    key_id: str
    rows: int
    total_us: int
    queue_us: int | None = None  # None: not known
    compute_us: int | None = None  # its share of its batch; None: not known
    runner: str | None = None
    weight: float = 1.0  # how many requests it stands for, where only a share is logged
    metadata: dict[str, str] | None = None


class Requests(Resource[D]):
    """``client.requests``; needs the role ``model-admin`` or ``tenant-admin``."""

    @listing
    def list(
        self,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        model: str | None = None,
        status: str | None = None,
    ) -> Items[LoggedRequest]:
        """Logged requests, newest first.

        Args:
            start: Aware time, included; None: 24 hours before ``end``.
            end: Aware time, not included; None: now.
            model: Of this model only.
            status: ``ok`` or ``failed`` only.
        """
        yield from self._api.pages("/requests", LoggedRequest, within(start, end, model=model, status=status))


def within(start: datetime | None, end: datetime | None, **more: str | None) -> dict[str, QueryValue]:
    """A query of what is not None."""
    moments = {"from": start, "to": end}
    query: dict[str, QueryValue] = {name: moment.isoformat() for name, moment in moments.items() if moment is not None}
    query.update({name: value for name, value in more.items() if value is not None})
    return query
