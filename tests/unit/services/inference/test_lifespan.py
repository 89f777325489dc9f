# SPDX-License-Identifier: Apache-2.0
"""Start and stop inside a server's lifespan, with hand-written ASGI messages."""

from __future__ import annotations

import asyncio
import gc
import json
from typing import Any

import numpy as np
import pytest

from artifacts.testing import refused
from core.errors import ErrorCode
from runners.testing import FakeRunner, request_of
from services.dataplane.catalog.bundle import BundleCatalog
from services.edge.http import Message, Receive, Scope, Send
from services.inference import lifespan
from services.inference.lifespan import HostedApp
from services.inference.settings import InferenceSettings
from services.testing import loaded

Served = Any
REQUEST: Scope = {"type": "http", "method": "GET", "headers": [], "client": ("127.0.0.1", 1)}


class Inner:
    """Stands where BentoML's application stands; notes what reaches it."""

    def __init__(self) -> None:
        self.seen: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            self.seen.append(scope["path"])
            await send({"type": "http.response.start", "status": 418, "headers": []})
            await send({"type": "http.response.body", "body": b""})
            return
        while True:
            message = await receive()
            self.seen.append(message["type"])
            await send({"type": message["type"] + ".complete"})
            if message["type"] == "lifespan.shutdown":
                return


async def live(app: HostedApp, *, between: list[str] | None = None) -> list[Message]:
    """A whole life: startup, requests for some paths, shutdown. What was sent, in order."""
    sent: list[Message] = []
    steps = ["lifespan.startup", "lifespan.shutdown"]

    async def send(message: Message) -> None:
        sent.append(message)

    async def receive() -> Message:
        step = steps.pop(0)
        if step == "lifespan.shutdown":
            for path in between or []:
                await app({**REQUEST, "path": path}, never, send)
        return {"type": step}

    async def never() -> Message:
        return {"type": "http.disconnect"}

    await app({"type": "lifespan"}, receive, send)
    return sent


async def test_a_life(environment: Served) -> None:
    """The service is wired before the server says it has started, answers its own routes, and closes its models."""
    inner = Inner()
    app = HostedApp(inner)
    sent = await live(app, between=["/v2/health/ready", "/metrics"])
    assert [message["type"] for message in sent] == [
        "lifespan.startup.complete",
        *["http.response.start", "http.response.body"] * 2,
        "lifespan.shutdown.complete",
    ]
    assert [message["status"] for message in sent if "status" in message] == [200, 418]
    assert inner.seen == ["lifespan.startup", "/metrics", "lifespan.shutdown"]
    assert app._parts is not None
    assert not await app._parts.plane.ready()


async def test_a_refusal_ends_the_start(environment: Served, capsys: pytest.CaptureFixture[str]) -> None:
    """A bundle that does not verify: startup.failed with the code, one line on stderr, and the inner app never starts."""
    (environment.folder / "model.onnx").write_bytes(b"tampered")
    inner = Inner()
    (failed,) = await live(HostedApp(inner))
    assert failed["type"] == "lifespan.startup.failed"
    assert failed["message"].startswith("SIGN_004: ")
    assert inner.seen == []
    events = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    refusal = next(event for event in events if event["event"] == "start_refused")
    assert (refusal["code"], refusal["level"], refusal["service"]) == (
        ErrorCode.DIGEST_MISMATCH,
        "critical",
        "inference",
    )


async def test_a_wrong_setting_is_told_like_any_event(
    environment: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """When the settings cannot be read, the reason is still one JSON line on stderr, not text on stdout."""
    monkeypatch.setenv("FUROSHIKI_BATCHING__MAX_ROWS", "many")
    (failed,) = await live(HostedApp(Inner()))
    assert failed["type"] == "lifespan.startup.failed"
    out, err = capsys.readouterr()
    assert out == ""
    event = json.loads(err)
    assert (event["event"], event["code"]) == ("start_refused", ErrorCode.SETTING_INVALID)
    assert "FUROSHIKI_BATCHING__MAX_ROWS: got 'many'" in event["reason"]


async def test_any_other_exception_ends_the_start_too(
    environment: Served, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A fault nobody expected: startup.failed, and its traceback in the log."""

    async def broken(_settings: InferenceSettings) -> None:
        raise RuntimeError("unexpected")

    monkeypatch.setattr(lifespan, "build", broken)
    inner = Inner()
    (failed,) = await live(HostedApp(inner))
    assert failed == {"type": "lifespan.startup.failed", "message": "unexpected"}
    assert inner.seen == []
    event = json.loads(capsys.readouterr().err)
    assert (event["event"], event["code"]) == ("start_failed", ErrorCode.INIT_FAILED)
    assert "RuntimeError: unexpected" in event["exception"]


async def test_a_stop_does_not_wait_for_ever(environment: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """An accepted request that does not end within ``http.drain_s`` fails, and the stop goes on."""
    monkeypatch.setenv("FUROSHIKI_HTTP__DRAIN_S", "0.01")
    app = HostedApp(Inner())
    await app._start()
    assert app._parts is not None
    catalog = app._parts.plane._catalog
    assert isinstance(catalog, BundleCatalog)
    runner = FakeRunner(width=2)
    runner.gate.clear()
    catalog._model = model = loaded(runner, model="digits")
    rows = {"x": np.ones((1, 2), dtype=np.float32)}
    stuck = asyncio.ensure_future(model.handle.infer(request_of(rows)))
    while not runner.batches:
        await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await app._stop()
    with refused(ErrorCode.MODEL_NOT_READY):
        await stuck
    assert runner.closed


async def test_a_start_leaves_the_collector_little_to_do(environment: Served) -> None:
    """What was imported and wired is taken out of the collector's view."""
    gc.unfreeze()
    app = HostedApp(Inner())
    await app._start()
    frozen = gc.get_freeze_count()
    await app._stop()
    gc.unfreeze()
    assert frozen > 10_000
