# SPDX-License-Identifier: Apache-2.0
"""Who gets which credentials."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable

import httpx
import pytest

from artifacts.oci.access import Access, Credentials
from artifacts.oci.descriptor import Descriptor
from artifacts.oci.patience import Patience
from artifacts.oci.registry import Registry
from artifacts.oci.testing import MemoryRegistry, answered
from artifacts.oci.tokens import merged_scopes
from artifacts.stores.testing import refused
from core.clock import ManualClock
from core.errors import ErrorCode
from tests.unit.artifacts.oci.images import Pauses

BASIC = "Basic " + base64.b64encode(b"robot:secret").decode()
ROBOT = Credentials(username="robot", password="secret")
CHALLENGE = 'Bearer realm="https://auth.test/token",service="registry.test"'


class Guarded(httpx.AsyncBaseTransport):
    """A registry behind a login, and its token server at auth.test."""

    def __init__(
        self, challenge: str = CHALLENGE, *, token: Callable[[int], str] = lambda count: f"token-{count}"
    ) -> None:
        self.registry = MemoryRegistry()
        self.challenge = challenge
        self.token = token
        self.lifetime: int | None = 300
        self.asked: list[httpx.Request] = []  # of the token server
        self.seen: list[tuple[str, str | None]] = []  # host and authorization of every request
        self.valid: set[str] = set()
        self.status = 200
        self.accepts = True  # the tokens it gives

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        authorization = request.headers.get("authorization")
        self.seen.append((request.url.host, authorization))
        if request.url.host == "auth.test":
            return await self._token(request)
        if authorization not in self.valid and request.url.host == "registry.test":
            return answered(401, headers={"www-authenticate": self.challenge})
        return await self.registry.handle_async_request(request)

    async def _token(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        self.asked.append(request)
        token = self.token(len(self.asked))
        if self.accepts:
            self.valid.add(f"Bearer {token}")
        body = {"token": token} | ({} if self.lifetime is None else {"expires_in": self.lifetime})
        return answered(self.status, json.dumps(body).encode())


def opened(transport: Guarded, credentials: Credentials | None = ROBOT, clock: ManualClock | None = None) -> Registry:
    """A client of it."""
    access = Access(credentials=credentials, patience=Patience(attempts=3, pause=Pauses()))
    return Registry("registry.test", access, clock=clock or ManualClock(), transport=transport)


async def test_nothing_is_sent_until_the_registry_asks() -> None:
    """Credentials go out only in answer to a challenge."""
    transport = Guarded("Basic realm=x")
    transport.valid.add(BASIC)
    registry = opened(transport)
    await registry.ping()
    await registry.ping()
    assert [authorization for _, authorization in transport.seen] == [None, BASIC, BASIC]


async def test_a_token_is_got_for_the_scope_and_kept_until_it_expires() -> None:
    """One request to the token server per scope and lifetime, with credentials, service and scope."""
    clock, transport = ManualClock(), Guarded()
    repository = opened(transport, clock=clock).repository("a")
    for _ in range(3):
        assert await repository.resolve("v1") is None
    assert [(request.url.params["service"], request.url.params["scope"]) for request in transport.asked] == [
        ("registry.test", "repository:a:pull")
    ]
    assert transport.asked[0].headers["authorization"] == BASIC
    clock.advance(299)
    await repository.resolve("v1")
    assert len(transport.asked) == 2
    assert [authorization for host, authorization in transport.seen if host == "registry.test"][-1] == "Bearer token-2"


async def test_a_token_that_is_rejected_early_is_got_anew() -> None:
    """Once; then the request is done."""
    transport = Guarded()
    repository = opened(transport).repository("a")
    await repository.resolve("v1")
    transport.valid.clear()
    assert await repository.resolve("v1") is None
    assert len(transport.asked) == 2


async def test_many_requests_get_one_token() -> None:
    """Those that wait for the same scope share it."""
    transport = Guarded()
    repository = opened(transport).repository("a")
    await asyncio.gather(*(repository.resolve("v1") for _ in range(10)))
    assert len(transport.asked) == 1


async def test_strangers_ask_for_a_token_without_credentials() -> None:
    """An anonymous client gets what the token server gives to everybody."""
    transport = Guarded()
    assert await opened(transport, credentials=None).repository("a").resolve("v1") is None
    assert "authorization" not in transport.asked[0].headers


async def test_credentials_that_are_not_accepted_are_said() -> None:
    """Wrong for the registry, or for the token server; not repeated."""
    basic = Guarded("Basic realm=x")
    with refused(ErrorCode.OCI_DENIED, "Check the credentials"):
        await opened(basic).ping()
    assert len(basic.seen) == 2
    with refused(ErrorCode.OCI_DENIED, "none are set"):
        await opened(Guarded("Basic realm=x"), credentials=None).ping()
    bearer = Guarded()
    bearer.status = 401
    with refused(ErrorCode.OCI_DENIED):
        await opened(bearer).ping()
    assert len(bearer.asked) == 1


async def test_a_token_that_never_helps_is_not_got_forever() -> None:
    """The second 401 is the answer."""
    transport = Guarded(token=lambda _: "useless")
    transport.accepts = False
    with refused(ErrorCode.OCI_DENIED):
        await opened(transport).repository("a").resolve("v1")
    assert len(transport.asked) == 1


@pytest.mark.parametrize(
    "realm",
    ["http://auth.test/token", "http://127.0.0.1:5/token", "", "ftp://auth.test", "/token", "https://", "javascript:x"],
)
async def test_credentials_do_not_go_to_a_token_server_without_tls(realm: str) -> None:
    """A registry cannot make us send them in the clear, or nowhere."""
    transport = Guarded(f'Bearer realm="{realm}"')
    with refused(ErrorCode.OCI_DENIED, "TLS"):
        await opened(transport).ping()
    assert not transport.asked
    assert all(authorization is None for _, authorization in transport.seen)


@pytest.mark.parametrize("token", ["", "a b", "a\r\nx: y", "ä"])
async def test_what_is_no_token_is_not_sent(token: str) -> None:
    """Nor put into a header."""
    with refused(ErrorCode.OCI_DENIED, "no token"):
        await opened(Guarded(token=lambda _: token)).ping()


async def test_a_redirect_to_another_host_takes_no_credentials_along() -> None:
    """Nor does an upload that goes on elsewhere."""
    transport = Guarded()
    transport.registry.faults.blobs_at = "https://cdn.test"
    registry = opened(transport)
    digest = "sha256:" + "0" * 64
    transport.registry.blobs["a", digest] = b"x"
    with refused(ErrorCode.DIGEST_MISMATCH):
        await registry.repository("a").read_blob(_described(digest))
    assert [seen for seen in transport.seen if seen[0] == "cdn.test"] == [("cdn.test", None)]


def _described(digest: str) -> Descriptor:
    return Descriptor(media_type="a/b", digest=digest, size=1)


async def test_a_tired_token_server_is_asked_again() -> None:
    """Its failures pass like the registry's."""
    transport = Guarded()
    transport.status = 503
    with refused(ErrorCode.OCI_UNREACHABLE):
        await opened(transport).ping()
    assert len(transport.asked) == 3


def test_secrets_are_not_shown() -> None:
    """Neither by credentials nor by what holds them."""
    assert "secret" not in repr(Access(credentials=ROBOT))


def test_scopes_are_merged_by_resource() -> None:
    """Each resource once, with all its actions."""
    assert merged_scopes("repository:a:pull,push", "repository:a:pull repository:b:pull", "") == (
        "repository:a:pull,push",
        "repository:b:pull",
    )
