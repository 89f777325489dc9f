# SPDX-License-Identifier: Apache-2.0
"""The gateway's patience, and what the SDK's errors become, with a registry on a loopback socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
import pytest_asyncio

from artifacts.testing import refused
from core.errors import ErrorCode, Unavailable
from services.dataplane import registry as registry_module
from services.dataplane.registry import RegistryGateway
from services.edge.auth.tenants import TenantRecord
from services.edge.context import Principal, TenantLimits
from services.edge.features import DEFAULT_FEATURES


class Listener:
    """Answers every request with one JSON body and status, or never."""

    def __init__(self) -> None:
        self.status = 200
        self.body: dict[str, Any] = {}
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


def identity(*actions: str, expires_at: str | None = None) -> dict[str, object]:
    told = {"roles": ["any"], "actions": list(actions), "expires_at": expires_at}
    return {"tenant": "acme", "key_id": "k1", "name": "n", **told}


async def test_whoami_tells_tenant_and_expiry(listener: Listener) -> None:
    """The principal, and the moment after which its key is no longer one."""
    registry = gateway(listener.url)
    listener.body = identity("models:infer", expires_at="2030-01-02T03:04:05Z")
    found = await registry.whoami("caller-key")
    assert found.principal == Principal(tenant="acme", key_id="k1")
    assert found.expires_at == datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC)
    listener.body = identity("models:infer")
    assert (await registry.whoami("caller-key")).expires_at is None
    await registry.close()


async def test_whoami_tells_limits_and_features(listener: Listener) -> None:
    """As the tenant's record has them; equal limits are one object, and an older registry sets none."""
    registry = gateway(listener.url)
    limits = {"requests_per_second": 2.5, "burst": None, "concurrent_requests": 4, "from_the_future": 1}
    listener.body = identity("models:infer") | {"limits": limits, "features": {"v2.binary": False, "v9.new": True}}
    first, second = [(await registry.whoami(key)).principal for key in ("caller-key", "other-key-")]
    assert first.limits == TenantLimits(requests_per_second=2.5, concurrent_requests=4)
    assert first.limits is second.limits
    assert first.features == DEFAULT_FEATURES - {"v2.binary"}
    listener.body = identity("models:infer")
    assert (await registry.whoami("caller-key")).principal.limits == TenantLimits()
    await registry.close()


async def test_a_tenants_record_is_asked_for_with_the_services_own_key(listener: Listener) -> None:
    """What a token's tenant may use; a tenant that is not there makes the token worthless."""
    registry = gateway(listener.url)
    listener.body = identity("models:read") | {"limits": {"burst": 3}, "features": {}}
    assert await registry.tenant("acme") == TenantRecord(limits=TenantLimits(burst=3))
    listener.status, listener.body = 404, {"error": {"code": "TENANT_001", "message": "None."}}
    with refused(ErrorCode.AUTH_INVALID):
        await registry.tenant("nobody")
    listener.status, listener.body = 401, {"error": {"code": "AUTH_002", "message": "Revoked."}}
    with refused(ErrorCode.STORE_UNAVAILABLE):
        await registry.tenant("acme")
    await registry.close()


async def test_a_key_without_the_scope_is_forbidden(listener: Listener) -> None:
    """Whoever may not infer is told so."""
    registry = gateway(listener.url)
    listener.body = identity("models:read")
    with refused(ErrorCode.AUTH_FORBIDDEN):
        await registry.whoami("caller-key")
    await registry.close()


async def test_a_silent_registry_is_out_of_reach(listener: Listener) -> None:
    """A registry that takes the question and never answers costs ``patience_s``, not the SDK's own timeouts."""
    registry = gateway(listener.url, patience_s=0.5)
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


def version(number: int) -> dict[str, object]:
    fixed = {"tenant": "acme", "model": "digits", "stage": "STAGING", "format": "onnx", "digest": "d", "key_id": "k"}
    return {**fixed, "version": number, "size": 1, "created_at": "2030-01-02T03:04:05Z"}


async def test_versions_are_listed(listener: Listener) -> None:
    """The numbers of a model's versions, as the registry orders them."""
    registry = gateway(listener.url)
    listener.body = {"items": [version(2), version(1)]}
    assert await registry.versions("acme", "digits") == [2, 1]
    assert listener.requests == ["GET /api/v1/models/digits/versions HTTP/1.1"]
    await registry.close()


async def test_models_are_listed(listener: Listener) -> None:
    """A model with and one without versions."""
    registry = gateway(listener.url)
    times = {"created_at": "2030-01-02T03:04:05Z", "updated_at": "2030-01-02T03:04:05Z"}
    listener.body = {"items": [{"tenant": "acme", "name": name, **times} for name in ("a", "b")]}
    listener.body["items"][0]["latest_version"] = 7
    assert [(m.name, m.latest_version) for m in await registry.models("acme")] == [("a", 7), ("b", None)]
    await registry.close()


async def test_a_listing_ends(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long the registry's list is, a bounded part of it is fetched."""
    monkeypatch.setattr(registry_module, "MOST_LISTED", 3)
    registry = gateway(listener.url)
    listener.body = {"items": [version(1), version(2)], "next_cursor": "more"}
    assert len(await registry.versions("acme", "digits")) == 3
    assert len(listener.requests) == 2
    await registry.close()


async def test_a_tuning_is_asked_for_by_device_and_never_missed(listener: Listener) -> None:
    """What the registry sends is handed on; none there, an old registry or a failing one is None, not an error."""
    asking = gateway(listener.url)
    listener.body = {"a": "document"}
    assert await asking.tuning("acme", "digits", 3, device="sha256:0") == b'{"a": "document"}'
    assert listener.requests[-1].split()[1] == "/api/v1/models/digits/versions/3/tuning?device=sha256%3A0"
    for listener.status, code in ((404, "TUNING_001"), (404, "VALID_006"), (403, "AUTH_003")):
        listener.body = {"error": {"code": code, "message": "m", "retryable": False, "request_id": "r", "details": {}}}
        assert await asking.tuning("acme", "digits", 3, device="sha256:0") is None
    listener.silent = True
    impatient = gateway(listener.url, patience_s=0.05)
    assert await impatient.tuning("acme", "digits", 3, device="sha256:0") is None
    await asking.close()
    await impatient.close()
