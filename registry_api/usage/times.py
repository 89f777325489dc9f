# SPDX-License-Identifier: Apache-2.0
"""The time range of a question, and moments as whole microseconds, so that a cursor loses nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final

from core.errors import ErrorCode, InvalidRequest

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_LONGEST: Final = timedelta(days=400)
_SLACK: Final = timedelta(minutes=5)  # services whose clocks are ahead


def to_cursor(moment: datetime) -> int:
    """Microseconds since the epoch."""
    return (moment - _EPOCH) // _MICROSECOND


def from_cursor(microseconds: int) -> datetime:
    """The moment.

    Raises:
        InvalidRequest: ``VALID_002`` if there is no such moment.
    """
    try:
        return _EPOCH + timedelta(microseconds=microseconds)
    except OverflowError:
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD,
            "Query parameter 'cursor' is not a cursor of this list. Leave it out to start again.",
            details={"field": "cursor"},
        ) from None


def time_range(
    start: datetime | None, end: datetime | None, *, now: datetime, default: timedelta
) -> tuple[datetime, datetime]:
    """What is asked for: what was given, else the last ``default`` until now.

    Raises:
        InvalidRequest: ``VALID_002`` if it ends before it begins or is longer than 400 days.
    """
    until = now + _SLACK if end is None else end
    try:
        since = until - default if start is None else start
    except OverflowError:
        since = datetime.min.replace(tzinfo=UTC)
    if not timedelta(0) < until - since <= _LONGEST:
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD,
            "from, to: expected 'from' before 'to', and at most 400 days between them.",
            details={"field": "from"},
        )
    return since, until
