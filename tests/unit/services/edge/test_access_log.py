# SPDX-License-Identifier: Apache-2.0
"""Request lines: each is exactly one JSON object, whatever the request was; and they are bounded."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.clock import ManualClock, rfc3339
from services.edge import access_log
from services.edge.access_log import AccessLog
from services.edge.http import Exchange, Message, Shared
from services.edge.limits import EdgeLimits

MOMENT = datetime(2026, 1, 31, 9, 30, 5, 6_000, tzinfo=UTC)


async def receive() -> Message:
    return {"type": "http.disconnect"}


async def send(_message: Message) -> None:
    return


def exchange(path: str = "/v2", request_id: bytes = b"r1") -> Exchange:
    headers = [(b"x-request-id", request_id)]
    scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
    made = Exchange(scope, receive, send, Shared(EdgeLimits()))
    made.status, made.sent_bytes, made.received_bytes = 200, 7, 5
    return made


@pytest.fixture
def stream() -> io.BytesIO:
    return io.BytesIO()


def lines(stream: io.BytesIO) -> list[dict[str, Any]]:
    data = stream.getvalue()
    assert data == b"" or data.endswith(b"\n")
    return [json.loads(line) for line in data.split(b"\n")[:-1]]


async def test_a_line_is_exact(stream: io.BytesIO) -> None:
    """Every field, with the clock's time to the millisecond."""
    log = AccessLog(clock=ManualClock(MOMENT), stream=stream)
    log.record(exchange(), seconds=0.0123456, tenant="acme", code="ok")
    log.flush()
    assert lines(stream) == [
        {
            "timestamp": rfc3339(MOMENT),
            "level": "info",
            "event": "request",
            "request_id": "r1",
            "tenant": "acme",
            "method": "POST",
            "path": "/v2",
            "status": 200,
            "code": "ok",
            "latency_ms": 12.346,
            "received_bytes": 5,
            "sent_bytes": 7,
        }
    ]


@pytest.mark.parametrize(
    "path",
    ['/v2/"quote"', "/v2/a\nb\r\n", "/v2/\x00\x1b[31m", "/v2/é\u2028😀", "/v2/%b%s%d", "/v2/\\", "/v2/\udcff"],
    ids=["quote", "newline", "control", "unicode", "percent", "backslash", "surrogate"],
)
async def test_a_hostile_path_stays_in_its_field(stream: io.BytesIO, path: str) -> None:
    """Whatever a path holds, the line is one line and the path is what was asked for."""
    log = AccessLog(clock=ManualClock(MOMENT), stream=stream)
    log.record(exchange(path), seconds=0, tenant="", code="MODEL_001")
    log.flush()
    (line,) = lines(stream)
    assert line["path"] == path.replace("\udcff", "?")


async def test_a_long_path_is_cut(stream: io.BytesIO) -> None:
    """A path of a megabyte is not written a thousand times a second."""
    log = AccessLog(clock=ManualClock(MOMENT), stream=stream)
    log.record(exchange("/v2/" + "x" * 10_000), seconds=0, tenant="", code="ok")
    log.flush()
    assert len(lines(stream)[0]["path"]) == 512


async def test_a_hostile_request_id_never_arrives(stream: io.BytesIO) -> None:
    """An id that could break the line was replaced before."""
    log = AccessLog(clock=ManualClock(MOMENT), stream=stream)
    log.record(exchange(request_id=b'x","tenant":"root'), seconds=0, tenant="", code="ok")
    log.flush()
    assert len(lines(stream)[0]["request_id"]) == 32


async def test_lines_beyond_the_bound_are_counted(stream: io.BytesIO, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit is dropped, the count is told once, and afterwards lines are written again."""
    monkeypatch.setattr(access_log, "_MOST_LINES", 3)
    log = AccessLog(clock=ManualClock(MOMENT), stream=stream)
    for _ in range(8):
        log.record(exchange(), seconds=0, tenant="", code="ok")
    log.flush()
    log.record(exchange(), seconds=0, tenant="", code="ok")
    log.flush()
    told = lines(stream)
    assert [line["event"] for line in told] == ["request"] * 3 + ["request_lines_dropped", "request"]
    assert told[3]["count"] == 5


async def test_a_disabled_log_writes_nothing(stream: io.BytesIO) -> None:
    """With ``enabled=False`` nothing is collected either."""
    log = AccessLog(clock=ManualClock(MOMENT), enabled=False, stream=stream)
    log.record(exchange(), seconds=0, tenant="", code="ok")
    log.flush()
    assert stream.getvalue() == b""


@given(st.text(max_size=20), st.floats(0, 1e6), st.integers(0, 2**40))
def test_any_line_parses(path: str, seconds: float, size: int) -> None:
    """A line is JSON for any path, time and size."""
    stream = io.BytesIO()
    log = AccessLog(clock=ManualClock(MOMENT), stream=stream)
    log._timer = _Never()  # type: ignore[assignment]
    made = exchange(path)
    made.received_bytes = size
    log.record(made, seconds=seconds, tenant="acme", code="ok")
    log.flush()
    (line,) = lines(stream)
    assert (line["path"], line["received_bytes"]) == (path.encode(errors="replace").decode(), size)


class _Never:
    """Stands for the flush timer outside a running loop."""

    cancel: Callable[[], None]
