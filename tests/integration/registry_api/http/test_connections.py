# SPDX-License-Identifier: Apache-2.0
"""What a connection may send before there is a request, and how long it may take."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import suppress
from itertools import repeat

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from deploy.local.stack import free_port
from registry_api.http import connections
from registry_api.http.connections import MOST_BYTES, BoundedConnection
from tests.integration.registry_api.process import RegistryProcess

_PATIENCE = 20.0  # seconds, for a machine that is busy
_FIELDS = b"".join(b"h%d: %s\r\n" % (at, b"v" * 50) for at in range(200))
_START = b"POST /api/v1/models HTTP/1.1\r\nHost: r\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n"
FLOODS = {
    "one header": (b"GET /healthz HTTP/1.1\r\nHost: r\r\nX: ", b"a" * 10_000),
    "many headers": (b"GET /healthz HTTP/1.1\r\nHost: r\r\n", _FIELDS),
    "a path": (b"GET /", b"a" * 10_000),
    "trailers": (_START + b"0\r\n", _FIELDS),
    "the extension of a chunk": (_START + b"1;", b"a" * 10_000),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    with RegistryProcess(tmp_path_factory.mktemp("registry") / "home") as process:
        yield process


def _taken(port: int, start: bytes, more: bytes) -> tuple[int, bytes]:
    """How many bytes of an endless request are taken before the connection is closed, and what was answered."""
    sent = 0
    with socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE) as connection:
        with suppress(ConnectionError):
            for piece in (start, *repeat(more, 4000)):
                connection.sendall(piece)
                sent += len(piece)
        with suppress(ConnectionError):
            return sent, connection.recv(1 << 16)
    return sent, b""


@pytest.mark.parametrize("flood", FLOODS)
def test_what_is_no_body_is_bounded_before_anybody_is_authenticated(server: RegistryProcess, flood: str) -> None:
    """The registry closes the connection long before 30 MB arrived, and serves others."""
    sent, _ = _taken(server.port, *FLOODS[flood])
    assert sent < 100 * MOST_BYTES  # the rest waits in the kernel
    with socket.create_connection(("127.0.0.1", server.port), timeout=_PATIENCE) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: r\r\nX: " + b"a" * (MOST_BYTES // 2) + b"\r\n\r\n")
        assert connection.recv(100).startswith(b"HTTP/1.1 200 ")


async def _echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the names of the request's headers, once its body was read."""
    while (await receive()).get("more_body"):
        pass
    await asyncio.sleep(0.2)  # longer than a head may take
    body = b",".join(name for name, _ in scope["headers"])
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


async def _end_of(server: uvicorn.Server, *pieces: bytes) -> bytes:
    """What comes until the server closes a connection on which only these pieces are sent."""
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.005)
    reader, writer = await asyncio.open_connection("127.0.0.1", server.config.port)
    for piece in pieces:
        writer.write(piece)
        await writer.drain()
    async with asyncio.timeout(_PATIENCE):
        answer = await reader.read()
    writer.close()
    server.should_exit = True
    await serving
    return answer


@pytest.fixture
def echo(monkeypatch: pytest.MonkeyPatch) -> uvicorn.Server:
    monkeypatch.setattr(connections, "HEAD_SECONDS", 0.1)
    port = free_port()
    return uvicorn.Server(
        uvicorn.Config(
            _echo,
            host="127.0.0.1",
            port=port,
            http=BoundedConnection,
            lifespan="off",
            timeout_keep_alive=0,
            log_config=None,
        )
    )


@pytest.mark.parametrize("pieces", [(), (b"\r\n",), (b"GET / HTTP/1.1\r\nHost: r\r\nX: a",)])
async def test_a_connection_without_a_request_is_closed(echo: uvicorn.Server, pieces: tuple[bytes, ...]) -> None:
    """Whether nothing came, or half a head."""
    assert await _end_of(echo, *pieces) == b""


async def test_a_request_that_takes_longer_than_its_head_may_is_answered(echo: uvicorn.Server) -> None:
    """The limit ends no request; what comes behind its body is no header of it."""
    head = b"POST / HTTP/1.1\r\nHost: r\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer = await _end_of(echo, head, b"1\r\n{\r\n", b"0\r\nX-API-Key: late\r\n\r\n")
    assert answer.endswith(b"\r\n\r\nhost,transfer-encoding")
