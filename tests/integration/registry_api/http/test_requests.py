# SPDX-License-Identifier: Apache-2.0
"""What holds for every request: ids, limits, error bodies, metrics."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import suppress
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from registry_api.models.service import ModelService
from tests.integration.registry_api.process import RegistryProcess
from tests.integration.registry_api.rest import Api, open_api


async def test_a_request_id_is_echoed_or_made(api: Api) -> None:
    """A harmless one is kept, in success and in error; a dangerous one is replaced."""
    for path in ("/healthz", "/api/v1/nothing"):
        response = await api.http.get(path, headers={"X-Request-ID": "trace-1"})
        assert response.headers["x-request-id"] == "trace-1"
    assert response.json()["error"]["request_id"] == "trace-1"
    made = (await api.http.get("/healthz", headers={"X-Request-ID": "a b\tc"})).headers["x-request-id"]
    assert len(made) == 32


async def test_liveness_and_readiness_need_no_credential(api: Api) -> None:
    """Both are ok; without its database the registry is alive but not ready."""
    for path in ("/healthz", "/readyz"):
        response = await api.http.get(path, headers={"X-API-Key": ""})
        assert (response.status_code, response.json()) == (200, {"status": "ok"})


async def test_metrics_count_requests_by_route_template(api: Api) -> None:
    """No name of a model becomes a label."""
    await api.ok("POST", "/models", json={"name": "secret-model"})
    await api.ok("GET", "/models/secret-model")
    text = (await api.http.get("/metrics")).text
    assert 'route="/api/v1/models/{model}",status="200"' in text
    assert "secret-model" not in text


@pytest.mark.parametrize(
    ("content", "headers", "expected"),
    [
        (b"{", {}, (400, "VALID_001")),
        (b"[" * 200_000, {}, (400, "VALID_001")),
        (b'{"name": "\xff"}', {}, (400, "VALID_001")),
        (b'{"name": "a"}', {"Content-Type": "text/plain"}, (415, "VALID_004")),
        (b'{"name": "a"}', {"Content-Encoding": "gzip"}, (415, "VALID_004")),
        (b'{"name": "a", "extra": 1}', {}, (422, "VALID_002")),
        (b'{"name": "A"}', {}, (422, "VALID_002")),
        (b'{"name": "a..b"}', {}, (422, "VALID_002")),
        (b'{"name": 7}', {}, (422, "VALID_002")),
        (b'{"name": "a", "description": "\\ud800"}', {}, (422, "VALID_002")),
        (b'{"name": "a", "description": "\\u0000"}', {}, (422, "VALID_002")),
        (b'{"name": "a", "tags": ["x\\ny"]}', {}, (422, "VALID_002")),
        (b'{"name": NaN}', {}, (422, "VALID_002")),
        (b'{"name": ' + b"9" * 5000 + b"}", {}, (400, "VALID_001")),
        (b'"' + b"a" * (1 << 20) + b'"', {}, (413, "VALID_003")),
        (b"", {}, (422, "VALID_002")),
    ],
)
async def test_bodies_that_are_no_model_are_refused(
    api: Api, content: bytes, headers: dict[str, str], expected: tuple[int, str]
) -> None:
    """Broken, deep, compressed, oversized and wrongly typed JSON; nothing is made."""
    sent = {"Content-Type": "application/json", **headers}
    assert await api.refused("POST", "/models", content=content, headers=sent) == expected
    assert (await api.ok("GET", "/models"))["items"] == []


async def test_a_body_without_a_length_is_bounded_while_it_arrives(tmp_path: Path) -> None:
    """The limit is a setting; a chunked body that exceeds it is 413 before its end."""
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 100
            yield b" " * 100

    async with open_api(tmp_path / "home", limits={"json_bytes": 1000}) as api:
        answer = await api.refused("POST", "/models", content=endless(), headers={"Content-Type": "application/json"})
    assert answer == (413, "VALID_003")
    assert sent <= 1200


async def test_a_fault_of_ours_tells_nothing_but_the_request_id(api: Api) -> None:
    """The text of the exception goes to the log, under the same id."""

    class Broken(ModelService):
        async def get(self, tenant: str, name: str) -> None:  # type: ignore[override]
            raise RuntimeError("password=hunter2")

    api.services._instances[ModelService] = Broken(api.platform.db, api.platform.store, api.platform.clock)
    with capture_logs(processors=[structlog.contextvars.merge_contextvars]) as events:
        response = await api.http.get("/api/v1/models/digits", headers={"X-Request-ID": "r1"})
    assert [event["request_id"] for event in events if event["event"] == "request_crashed"] == ["r1"]
    error = response.json()["error"]
    assert (response.status_code, error["code"], error["request_id"]) == (500, "INTERNAL_001", "r1")
    assert "hunter2" not in response.text


@pytest.mark.parametrize(
    ("method", "path", "allow"), [("PATCH", "/healthz", "GET"), ("PUT", "/api/v1/models", "GET, POST")]
)
async def test_the_wrong_method_names_the_right_ones(api: Api, method: str, path: str, allow: str) -> None:
    """405 VALID_007 with every method of the path in Allow."""
    response = await api.http.request(method, path)
    assert (response.status_code, response.json()["error"]["code"]) == (405, "VALID_007")
    assert response.headers["allow"] == allow


async def test_the_document_and_its_page_are_served(api: Api) -> None:
    """At the places the README names."""
    document = (await api.http.get("/api/v1/openapi.json")).json()
    assert document["openapi"].startswith("3.1")
    assert (await api.http.get("/api/v1/docs")).headers["content-type"].startswith("text/html")


async def test_a_body_that_does_not_come_is_given_up_without_any_credential(tmp_path: Path) -> None:
    """408 TIMEOUT_001 after ``http.body_seconds``, although a byte comes now and then; the connection is closed."""
    with (
        RegistryProcess(tmp_path / "home", FUROSHIKI_HTTP__BODY_SECONDS="0.3") as server,
        socket.create_connection(("127.0.0.1", server.port)) as connection,
    ):
        connection.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(
            connection, b"POST /api/v1/models HTTP/1.1\r\nHost: r\r\nContent-Length: 1000000\r\n\r\n"
        )

        async def trickle() -> None:
            with suppress(ConnectionError):
                while True:
                    await loop.sock_sendall(connection, b" ")
                    await asyncio.sleep(0.05)

        sender = asyncio.create_task(trickle())
        async with asyncio.timeout(60):
            answer = await until_closed(connection)
        sender.cancel()
        await asyncio.wait([sender])
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 408 ")
    assert b"TIMEOUT_001" in body


async def until_closed(connection: socket.socket) -> bytes:
    """All that the server sends before it closes; a byte sent to it after that makes the end a reset."""
    received = bytearray()
    with suppress(ConnectionResetError):
        while chunk := await asyncio.get_running_loop().sock_recv(connection, 1 << 16):
            received += chunk
    return bytes(received)
