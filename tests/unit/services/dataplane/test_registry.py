# SPDX-License-Identifier: Apache-2.0
"""The gateway's patience, and what the SDK's errors become, with a registry on a loopback socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from artifacts.testing import refused
from core.errors import ErrorCode, Unavailable
from services.dataplane.registry import RegistryGateway
from services.edge.context import Principal


class Listener:
    """Answers every request with one JSON body and status, or never."""

    def __init__(self) -> None:
        self.status = 200
        self.body: object = {}
        self.silent = False
        self.requests: list[str] = []
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                self.requests.append(head.decode().split("\r\n", 1)[0])
                if not self.silent:
                    data = json.dumps(self.body).encode()
                    writer.write(b"HTTP/1.1 %d x\r\ncontent-length: %d\r\n\r\n%b" % (self.status, len(data), data))
        except asyncio.IncompleteReadError:
            writer.close()


@pytest_asyncio.fixture
async def listener() -> AsyncIterator[Listener]:
    made = Listener()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = "http://{}:{}".format(*server.sockets[0].getsockname())
    yield made
    server.close()


def gateway(url: str, *, patience_s: float = 5.0) -> RegistryGateway:
    return RegistryGateway(url, api_key="own-key", timeout_s=30.0, patience_s=patience_s)


def identity(*scopes: str, expires_at: str | None = None) -> dict[str, object]:
    return {"tenant": "acme", "key_id": "k1", "name": "n", "scopes": list(scopes), "expires_at": expires_at}


async def test_whoami_tells_tenant_and_expiry(listener: Listener) -> None:
    """The principal, and the moment after which its key is no longer one."""
    registry = gateway(listener.url)
    listener.body = identity("infer", expires_at="2030-01-02T03:04:05Z")
    found = await registry.whoami("caller-key")
    assert found.principal == Principal(tenant="acme", key_id="k1")
    assert found.expires_at == datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    listener.body = identity("infer")
    assert (await registry.whoami("caller-key")).expires_at is None
    await registry.close()


async def test_a_key_without_the_scope_is_forbidden(listener: Listener) -> None:
    """Whoever may not infer is told so."""
    registry = gateway(listener.url)
    listener.body = identity("read")
    with refused(ErrorCode.AUTH_FORBIDDEN):
        await registry.whoami("caller-key")
    await registry.close()


async def test_a_silent_registry_is_out_of_reach(listener: Listener) -> None:
    """A registry that takes the question and never answers costs ``patience_s``, not the SDK's own timeouts."""
    registry = gateway(listener.url, patience_s=0.05)
    listener.silent = True
    async with asyncio.timeout(5):
        for question in (registry.whoami("caller-key"), registry.resolve("acme", "digits", None)):
            with pytest.raises(Unavailable) as caught:
                await question
            assert (caught.value.code, caught.value.retry_after) == (ErrorCode.STORE_UNAVAILABLE, 1.0)
    assert len(listener.requests) == 2
    await registry.close()


@pytest.mark.parametrize("credential", ["line\nbreak", "schlüssel"])
async def test_what_the_sdk_refuses_to_send_is_not_a_fault(listener: Listener, credential: str) -> None:
    """A client that cannot be made is told like any failure of the registry, and the key is not in the log."""
    registry = gateway(listener.url)
    with pytest.raises(Unavailable) as caught:
        await registry.whoami(credential)
    assert credential not in str(caught.value.log_context)
    assert listener.requests == []
    await registry.close()
