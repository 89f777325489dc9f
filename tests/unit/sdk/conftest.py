# SPDX-License-Identifier: Apache-2.0
"""A fake Furoshiki, both clients on it, and an environment without anybody's configuration."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from furoshiki import AsyncClient, Client
from furoshiki.testing import API_KEY, FakeService


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test sees the configuration of whoever runs it."""
    for name in ("FUROSHIKI_URL", "FUROSHIKI_INFERENCE_URL", "FUROSHIKI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("FUROSHIKI_CONFIG", str(tmp_path / "config" / "config.json"))


@pytest.fixture
def service() -> FakeService:
    return FakeService(page_size=2)


@pytest.fixture
def client(service: FakeService) -> Iterator[Client]:
    with Client(api_key=API_KEY, transport=service, clock=service.clock, rng=random.Random(7)) as made:
        yield made


class Either:
    """Runs a call on the blocking or on the awaitable client; iterators are read to their end."""

    def __init__(self, service: FakeService, *, awaited: bool) -> None:
        self._service = service
        self._awaited = awaited

    def __call__(self, call: Callable[[Any], Any], **options: Any) -> Any:
        defaults: dict[str, Any] = {"api_key": API_KEY, "transport": self._service, "clock": self._service.clock}
        options = defaults | options
        if self._awaited:
            return asyncio.run(self._await(call, options))
        with Client(**options) as client:
            result = call(client)
            return list(result) if inspect.isgenerator(result) else result

    async def _await(self, call: Callable[[Any], Any], options: dict[str, Any]) -> Any:
        async with AsyncClient(**options) as client:
            result = call(client)
            return [value async for value in result] if inspect.isasyncgen(result) else await result


@pytest.fixture(params=["sync", "async"])
def either(request: pytest.FixtureRequest, service: FakeService) -> Either:
    return Either(service, awaited=request.param == "async")


@pytest.fixture
def model_file(tmp_path: Path) -> Path:
    """A file that the fake registry takes for a model."""
    path = tmp_path / "digits.onnx"
    path.write_bytes(bytes(range(256)) * 40)
    return path
