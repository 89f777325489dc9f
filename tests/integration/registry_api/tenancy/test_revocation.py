# SPDX-License-Identifier: Apache-2.0
"""A revoked or rotated key stops within five seconds everywhere: in two real registry processes, and behind one of them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import httpx
import pytest

from core.clock import SystemClock
from core.errors import AuthError
from services.dataplane.registry import RegistryGateway
from services.edge.auth import RememberedAuth
from services.inference.settings import Registry
from tests.integration.registry_api.process import RegistryProcess

EVERYWHERE_S = 5.0


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[RegistryProcess, RegistryProcess]]:
    """Two processes on one home."""
    home = tmp_path / "home"
    with RegistryProcess(home) as one, RegistryProcess(home) as other:
        yield one, other


async def seconds_until(stopped: Callable[[], Awaitable[bool]]) -> float:
    began = time.monotonic()
    async with asyncio.timeout(4 * EVERYWHERE_S):
        while not await stopped():
            await asyncio.sleep(0.05)
    return time.monotonic() - began


async def test_a_revoked_key_stops_everywhere_within_five_seconds(two: tuple[RegistryProcess, RegistryProcess]) -> None:
    """Revoked at one registry; asked about at the other, and used with an inference service's memory behind the other, all
    of them while they remember it."""
    one, other = two
    defaults = Registry()
    gateway = RegistryGateway(other.url, api_key=None, timeout_s=5, patience_s=5)
    service = RememberedAuth(gateway, clock=SystemClock(), fresh_s=defaults.fresh_s, grace_s=defaults.grace_s)
    async with httpx.AsyncClient(trust_env=False) as http:
        made = await http.post(f"{one.url}/api/v1/keys", headers=one.headers, json={"name": "ci", "roles": ["user"]})
        key = made.json()["key"]
        token = (await http.post(f"{one.url}/api/v1/tokens", headers={"X-API-Key": key}, json={})).json()["token"]

        async def refused_at(url: str, credential: str) -> bool:
            return (await http.get(f"{url}/api/v1/whoami", headers={"X-API-Key": credential})).status_code == 401

        async def refused_by_service() -> bool:
            try:
                await service.authenticate({b"x-api-key": key.encode()})
            except AuthError:
                return True
            return False

        for credential in (key, token):
            for url in (one.url, other.url):
                assert not await refused_at(url, credential)
        assert not await refused_by_service()
        gone = await http.delete(f"{one.url}/api/v1/keys/{made.json()['id']}", headers=one.headers)
        assert gone.status_code == 204
        assert await refused_at(one.url, key)
        assert await refused_at(one.url, token)
        spent = await asyncio.gather(
            seconds_until(lambda: refused_at(other.url, key)),
            seconds_until(lambda: refused_at(other.url, token)),
            seconds_until(refused_by_service),
        )
    await gateway.close()
    assert max(spent) < EVERYWHERE_S
