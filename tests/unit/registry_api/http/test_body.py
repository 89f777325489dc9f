# SPDX-License-Identifier: Apache-2.0
"""Depth of JSON bodies, and the time they may take."""

from __future__ import annotations

import asyncio
import json
import re
import tracemalloc
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from registry_api.http.body import BodyGuard, json_depth

VALUES = st.recursive(
    st.text() | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


def depth(value: Any) -> int:
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 0


@given(VALUES)
def test_the_depth_of_valid_json_is_that_of_its_value(value: Any) -> None:
    """Law: json_depth(dumps(value)) == depth(value), whatever brackets and quotes stand in strings."""
    assert json_depth(json.dumps(value).encode()) == depth(value)


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b"", 0), (b"[" * 100_000, 100_000), (b"]]]][", 0), (b'"[[[', 0), (b'{"a":"\\"[["}', 1), (b'["\\\\",[]]', 2)],
)
def test_broken_json_is_measured_without_recursion(body: bytes, expected: int) -> None:
    """Unclosed brackets count, brackets inside unclosed strings do not."""
    assert json_depth(body) == expected


class Exchange:
    """One request whose body never ends, and what is answered."""

    def __init__(self, method: str, path: str) -> None:
        headers = [(b"transfer-encoding", b"chunked")]
        self.scope = {"type": "http", "method": method, "path": path, "headers": headers, "state": {"request_id": "r"}}
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        await asyncio.sleep(0)
        return {"type": "http.request", "body": b"", "more_body": True}

    async def send(self, message: Message) -> None:
        self.sent.append(message)


async def reached(_scope: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})


GUARD = BodyGuard(reached, max_bytes=100, max_depth=9, max_seconds=0.01, streams=(re.compile("/files/.+"),))


async def test_a_body_that_never_ends_is_cut_off_before_anybody_is_asked_who_sends_it() -> None:
    """408 TIMEOUT_001, and the connection is closed; the application, which checks credentials, is not reached."""
    exchange = Exchange("POST", "/models")
    await GUARD(exchange.scope, exchange.receive, exchange.send)
    start, body = exchange.sent
    assert (start["status"], json.loads(body["body"])["error"]["code"]) == (408, "TIMEOUT_001")
    assert (b"connection", b"close") in start["headers"]


async def test_files_are_not_bound_by_that_time() -> None:
    """Their route is reached at once; it bounds them itself."""
    exchange = Exchange("PUT", "/files/model.onnx")
    await GUARD(exchange.scope, exchange.receive, exchange.send)
    assert exchange.sent[0]["status"] == 200


@pytest.mark.parametrize(
    "body", [b'"' + b"a" * (1 << 20), b'"' * (1 << 20), b'["' + b'\\"' * (1 << 19), b"\\" * (1 << 20)]
)
def test_measuring_a_hostile_body_takes_little_memory(body: bytes) -> None:
    """At most 64 bytes for each byte of a body that nobody was authenticated for, whatever it is made of."""
    tracemalloc.start()
    json_depth(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * len(body)
