# SPDX-License-Identifier: Apache-2.0
"""The headers of deprecated versions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

from core.deprecation import Notice

SINCE = datetime(2023, 6, 30, 23, 59, 59, tzinfo=UTC)


def test_the_example_of_rfc_9745() -> None:
    """Friday, June 30, 2023 at 23:59:59 UTC is @1688169599; without a sunset there is no such header."""
    assert Notice(since=SINCE).metadata == (("deprecation", "@1688169599"),)


def test_the_example_of_rfc_8594_in_all_three_forms() -> None:
    """Sat, 31 Dec 2018 23:59:59 GMT was a Monday; the date is GMT whatever zone it came in."""
    sunset = datetime(2019, 1, 1, 0, 59, 59, tzinfo=timezone(timedelta(hours=1)))
    notice = Notice(since=SINCE, sunset=sunset)
    assert notice.metadata[1] == ("sunset", "Mon, 31 Dec 2018 23:59:59 GMT")
    assert notice.lines == tuple((name.encode(), value.encode()) for name, value in notice.metadata)
    assert notice.head == b"deprecation: @1688169599\r\nsunset: Mon, 31 Dec 2018 23:59:59 GMT\r\n"
