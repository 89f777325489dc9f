# SPDX-License-Identifier: Apache-2.0
"""What only the short form has: its timeout."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from core.errors import ErrorCode
from runners.cache import LoadedModel
from runners.testing import FakeRunner
from services.dataplane.catalog.bundle import BundleCatalog
from services.edge.context import Principal
from services.testing import serving


async def test_the_timeout_counts_from_arrival(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request does not wait for its model to be loaded beyond ``timeout_ms``."""

    async def never(_catalog: BundleCatalog, _who: Principal, _model: str, _version: str | None) -> LoadedModel:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(BundleCatalog, "acquire", never)
    async with serving(FakeRunner(width=2)) as client, asyncio.timeout(5):
        response = await infer(client, timeout_ms=10)
    assert (response.status_code, response.json()["error"]["code"]) == (504, ErrorCode.TIMEOUT)


async def test_a_passed_timeout_is_504() -> None:
    """A request whose timeout passes while the model is busy gets 504; a generous one gets its result."""
    runner = FakeRunner(width=2)
    async with serving(runner) as client:
        runner.gate.clear()
        late = await infer(client, timeout_ms=10)
        runner.gate.set()
        early = await infer(client, timeout_ms=10_000)
    assert (late.status_code, late.json()["error"]["code"]) == (504, ErrorCode.TIMEOUT)
    assert early.json()["outputs"] == {"y": [[3, 5]]}


async def infer(client: httpx.AsyncClient, *, timeout_ms: float) -> httpx.Response:
    return await client.post("/v1/infer", json={"model": "fake", "inputs": {"x": [[1, 2]]}, "timeout_ms": timeout_ms})
