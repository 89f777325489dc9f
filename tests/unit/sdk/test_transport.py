# SPDX-License-Identifier: Apache-2.0
"""Both transports: bodies from files, limits, failures of the network."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import httpx
import pytest

from furoshiki import AsyncClient, Client, ConfigError, ConnectionFailed, FuroshikiError, InvalidRequest, Retry
from furoshiki.bodies import file_chunks
from furoshiki.errors import ServerFault
from furoshiki.retry import SystemClock
from furoshiki.steps import FileBody, Item, Items, Reply, Request, Steps, exchange, path, pause, work
from furoshiki.testing import API_KEY, FakeService, loopback
from furoshiki.transport import SyncTransport

Either: TypeAlias = Callable[..., Any]  # the fixture: a call, run by one of the clients

DEAD = "http://127.0.0.1:9"  # the discard port: nothing listens there


OK = Reply(status=200, headers={}, body=b"", request_id=None)


class Shouting(httpx.BaseTransport):
    """Answers everything with the same reply."""

    def __init__(self, response: httpx.Response) -> None:
        self.response = response
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self.response


def test_nothing_listening_is_connection_failed(either: Either) -> None:
    """A service that is not there is named, and the failure is retryable."""
    with pytest.raises(ConnectionFailed, match=DEAD) as caught:
        either(lambda client: client.whoami(), url=DEAD, transport=None, retry=Retry(attempts=1))
    assert (caught.value.sent, caught.value.retryable, caught.value.status) == (False, True, None)
    assert caught.value.request_id


def test_over_a_real_socket(service: FakeService, model_file: Path) -> None:
    """Uploads and downloads stream over a real connection, with both clients."""

    async def push() -> str:
        async with AsyncClient(url, inference_url=url, api_key=API_KEY) as client:
            return (await client.models.push("digits", model_file)).digest

    with loopback(service) as url:
        with Client(url, inference_url=url, api_key=API_KEY) as client:
            first = client.models.push("digits", model_file)
            copy = client.versions.download("digits", 1, model_file.parent / "copy")
        second = asyncio.run(push())
    assert (copy / "digits.onnx").read_bytes() == model_file.read_bytes()
    assert first.digest != second  # another version, another manifest


def test_loopback_is_never_asked_through_a_proxy(service: FakeService, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy in the environment is for other machines, with or without ``NO_PROXY``."""
    monkeypatch.setenv("HTTP_PROXY", DEAD)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with loopback(service) as url, Client(url, inference_url=url, api_key=API_KEY) as client:
        assert client.whoami().tenant == "acme"


def test_redirects_are_not_followed(service: FakeService) -> None:
    """A redirect is an error: the key goes to the configured service or nowhere."""
    shouting = Shouting(httpx.Response(307, headers={"location": "http://evil.example/"}))
    with pytest.raises(FuroshikiError):
        Client(api_key=API_KEY, transport=shouting, clock=service.clock).whoami()
    assert [request.url.host for request in shouting.requests] == ["127.0.0.1"]


def test_reply_longer_than_the_limit_is_refused() -> None:
    """A reply held in memory is bounded."""
    transport = SyncTransport(httpx.Client(transport=Shouting(httpx.Response(200, content=b"x" * 11))), SystemClock())
    with pytest.raises(ServerFault, match="longer than 10 bytes"):
        transport.run(exchange(Request(method="GET", path="/", base="http://x", limit=10)))


def test_not_a_url_is_a_config_error() -> None:
    """A base that is no URL is reported as such by the transport, too."""
    transport = SyncTransport(httpx.Client(), SystemClock())
    with pytest.raises(ConfigError, match="not a service URL"):
        transport.run(exchange(Request(method="GET", path="/", base="gopher://x")))


@pytest.mark.parametrize("change", [b"short", b"much longer than it was"])
def test_file_that_changed_its_length_is_refused(tmp_path: Path, change: bytes) -> None:
    """A file whose length is no longer the announced one ends the call instead of sending something else."""
    file = tmp_path / "f"
    file.write_bytes(change)
    with pytest.raises(InvalidRequest, match=r"CLIENT_004.*changed while it was sent"):
        list(file_chunks(FileBody(path=file, size=10)))


def test_file_that_vanished_is_refused(tmp_path: Path) -> None:
    """A file that is gone when it is to be sent is named."""
    with pytest.raises(InvalidRequest, match=r"Cannot read '.*gone'"):
        list(file_chunks(FileBody(path=tmp_path / "gone", size=1)))


@pytest.mark.parametrize("segment", ["", ".", ".."])
def test_path_segments_that_lead_elsewhere_are_refused(segment: str) -> None:
    """A name that would change which resource is asked for is refused before anything is sent."""
    with pytest.raises(InvalidRequest, match="VALID_002"):
        path("models", segment)


def test_path_segments_are_quoted() -> None:
    """Whatever a name holds, it stays one segment."""
    assert path("models", "a/b?c#d é", 3) == "/models/a%2Fb%3Fc%23d%20%C3%A9/3"


def test_steps_learn_of_failures(service: FakeService) -> None:
    """A failed step is raised inside the call, which may go on after it."""

    def call() -> Steps[str]:
        try:
            yield from work(lambda: 1 // 0)
        except ZeroDivisionError:
            yield from pause(4.0)
            return "mended"
        return "never"

    transport = SyncTransport(httpx.Client(transport=service), service.clock)
    assert transport.run(call()) == "mended"
    assert service.clock.sleeps == [4.0]


def test_abandoned_iterator_releases_its_steps(service: FakeService) -> None:
    """An iterator that is not read to its end runs the ``finally`` of its steps."""
    ended: list[bool] = []

    def items() -> Items[Reply]:
        try:
            while True:
                yield from pause(1.0)
                yield Item(OK)
        finally:
            ended.append(True)

    transport = SyncTransport(httpx.Client(transport=service), service.clock)
    iterator = transport.iterate(items())
    next(iterator)
    iterator.close()  # type: ignore[attr-defined]
    assert ended == [True]


def test_cancellation_is_heard(service: FakeService) -> None:
    """Cancelling the awaiting task ends the call at once."""

    class Stuck(FakeService):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            await asyncio.Event().wait()
            raise AssertionError

    async def scenario() -> None:
        async with AsyncClient(api_key=API_KEY, transport=Stuck(), clock=service.clock) as client:
            task = asyncio.create_task(client.whoami())
            await asyncio.sleep(0)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

    asyncio.run(scenario())


def test_api_key_is_in_no_representation() -> None:
    """Neither a client, nor what it is made of, nor a request shows the key."""
    client = Client(api_key="furo_secret_value", transport=FakeService())
    request = Request(method="GET", path="/", headers={"X-API-Key": "furo_secret_value"})
    for shown in (client, client._api, vars(client), request):
        assert "furo_secret_value" not in repr(shown)
