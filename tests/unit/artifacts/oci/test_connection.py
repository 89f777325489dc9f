# SPDX-License-Identifier: Apache-2.0
"""Requests: what is tried again, what is followed, what is said."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from artifacts.oci.access import Access, base_url
from artifacts.oci.patience import LONGEST_RETRY_AFTER_S, Patience
from artifacts.oci.registry import Registry
from artifacts.oci.testing import MemoryRegistry, answered
from artifacts.stores.testing import refused
from core.errors import ErrorCode, FuroshikiError, InitError
from tests.unit.artifacts.oci.images import Pauses, client


def answering(answer: Callable[[httpx.Request], httpx.Response], pauses: Pauses, attempts: int = 4) -> Registry:
    """A client of a registry that answers so."""
    access = Access(patience=Patience(attempts=attempts, pause=pauses))
    return Registry("registry.test", access, transport=httpx.MockTransport(answer))


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504])
async def test_what_may_pass_is_tried_again(status: int) -> None:
    """With waits in between, until it works."""
    transport, pauses = MemoryRegistry(), Pauses()
    transport.faults.statuses = [(status, {})] * 3
    await client(transport, pauses).ping()
    assert len(transport.requests) == 4
    assert len(pauses) == 3
    assert all(0 <= pause <= 10 for pause in pauses)


async def test_patience_ends() -> None:
    """After so many attempts the last failure is said, as one that may pass."""
    transport = MemoryRegistry()
    transport.faults.statuses = [(503, {"retry-after": "7"})] * 100
    with pytest.raises(FuroshikiError) as caught:
        await client(transport, attempts=4).ping()
    assert (caught.value.code, caught.value.retryable) == (ErrorCode.OCI_UNREACHABLE, True)
    assert caught.value.retry_after == 7
    assert len(transport.requests) == 4


async def test_retry_after_is_waited_for_and_limited() -> None:
    """At least what the registry asks, and not days."""
    transport, pauses = MemoryRegistry(), Pauses()
    transport.faults.statuses = [
        (429, {"retry-after": "5"}),
        (429, {"retry-after": "999999"}),
        (429, {"retry-after": "soon"}),
    ]
    await client(transport, pauses).ping()
    assert pauses[0] >= 5
    assert LONGEST_RETRY_AFTER_S <= pauses[1] <= LONGEST_RETRY_AFTER_S + 1
    assert pauses[2] < 5


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, ErrorCode.OCI_REFUSED),
        (401, ErrorCode.OCI_DENIED),
        (403, ErrorCode.OCI_DENIED),
        (404, ErrorCode.OCI_NOT_FOUND),
        (405, ErrorCode.OCI_REFUSED),
        (413, ErrorCode.OCI_REFUSED),
        (418, ErrorCode.OCI_REFUSED),
    ],
)
async def test_what_will_not_pass_is_said_at_once(status: int, code: ErrorCode) -> None:
    """One attempt, one code."""
    transport = MemoryRegistry()
    transport.faults.statuses = [(status, {})] * 2
    with refused(code):
        await client(transport).ping()
    assert len(transport.requests) == 1


async def test_the_registrys_own_words_are_shown_safely() -> None:
    """Its code and message, shortened, without control characters; other bodies not at all."""
    body = b'{"errors": [{"code": "NAME_INVALID", "message": "bad\\u001b[31m ' + b"x" * 500 + b'"}]}'
    with pytest.raises(FuroshikiError) as caught:
        await answering(lambda _: answered(400, body), Pauses()).ping()
    assert "NAME_INVALID: bad\\x1b[31m" in caught.value.message
    assert len(caught.value.message) < 400
    with pytest.raises(FuroshikiError) as caught:
        await answering(lambda _: answered(400, b"<html>" * 100_000), Pauses()).ping()
    assert "html" not in caught.value.message


@pytest.mark.parametrize(
    "location",
    ["http://registry.test/v2/", "https://user:secret@cdn.test/", "ftp://x/", "", "//", "https://"],
)
async def test_bad_redirects_are_not_followed(location: str) -> None:
    """From TLS to plain HTTP, to another protocol, to nowhere."""
    with refused(ErrorCode.OCI_REFUSED, "not followed"):
        await answering(lambda _: answered(307, headers={"location": location}), Pauses()).ping()


@pytest.mark.parametrize(
    "host", ["", "a b", "user:secret@r.test", "r.test/x", "r.test?x", "r.test:0", "r.test:70000", "r.test:"]
)
def test_what_is_no_host_is_refused(host: str) -> None:
    """Before anything is sent; a password in it goes nowhere."""
    with refused(ErrorCode.INVALID_FIELD):
        Registry(host)


async def test_an_answer_that_drips_is_not_waited_for() -> None:
    """Each byte in time is not enough."""
    asked: list[httpx.Request] = []

    class Dripping(httpx.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            asked.append(request)
            await asyncio.Event().wait()
            raise AssertionError

    access = Access(answer_s=0.005, patience=Patience(attempts=3, pause=Pauses()))
    with refused(ErrorCode.OCI_UNREACHABLE):
        await Registry("registry.test", access, transport=Dripping()).ping()
    assert len(asked) == 3


async def test_redirects_end() -> None:
    """A registry that redirects to itself is left."""
    asked: list[str] = []

    def redirect(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return answered(302, headers={"location": "/v2/?again"})

    with refused(ErrorCode.OCI_REFUSED, "5 times"):
        await answering(redirect, Pauses()).ping()
    assert len(asked) == 6


async def test_a_document_that_is_too_large_is_not_read_to_the_end() -> None:
    """4 MiB is the limit of the specification."""
    endless = answered(200, b" " * (5 * 1024 * 1024), {"content-type": "a/b"})
    with refused(ErrorCode.TOO_LARGE):
        await answering(lambda _: endless, Pauses()).repository("a").fetch("v1")


async def test_an_untrusted_certificate_is_not_tried_again() -> None:
    """No wait makes it trusted."""

    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no", request=request) from ssl.SSLCertVerificationError("self-signed")

    pauses = Pauses()
    with refused(ErrorCode.OCI_UNREACHABLE, "certificate"):
        await answering(refuse, pauses).ping()
    assert pauses == []


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError, httpx.ReadError])
async def test_a_registry_that_is_away_is_tried_again(error: type[httpx.TransportError]) -> None:
    """However it is away."""
    left = [1, 1]

    def fail(request: httpx.Request) -> httpx.Response:
        if left:
            left.pop()
            raise error("away", request=request)
        return answered(200)

    pauses = Pauses()
    await answering(fail, pauses).ping()
    assert len(pauses) == 2


def test_plain_http_is_for_this_machine_or_when_asked_for() -> None:
    """TLS otherwise; also here, if there is a CA file to check it with."""
    assert str(base_url("127.0.0.1:5000", Access())) == "http://127.0.0.1:5000"
    assert str(base_url("localhost:5000", Access())) == "http://localhost:5000"
    assert str(base_url("[::1]:5000", Access())) == "http://[::1]:5000"
    assert str(base_url("127.0.0.1:5000", Access(ca_file=Path("ca.pem")))) == "https://127.0.0.1:5000"
    assert str(base_url("registry.example", Access())) == "https://registry.example"
    assert str(base_url("registry.example", Access(plain_http=True))) == "http://registry.example"
    assert str(base_url("localhost.example", Access())) == "https://localhost.example"
    assert str(base_url("docker.io", Access())) == "https://registry-1.docker.io"


async def test_a_ca_file_that_is_none_is_said() -> None:
    """Before anything is sent, naming what is expected."""
    for path in (Path("/does/not/exist"), Path("/dev/null")):
        with pytest.raises(InitError):
            await Registry("registry.test", Access(ca_file=path)).ping()
