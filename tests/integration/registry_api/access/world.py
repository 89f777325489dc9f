# SPDX-License-Identifier: Apache-2.0
"""A registry with two tenants: ``owner`` has one of everything that a route can name, ``stranger`` has nothing but keys."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import httpx
import pytest

from registry_api.db.session import EVERY_TENANT
from registry_api.deployments.tables import DeploymentRow
from registry_api.http.access import Role
from registry_api.images.tables import ImageRow
from registry_api.settings.registry import WebhookSettings
from tests.integration.registry_api.rest import Api, declared, open_api, tiny_onnx

OWNER: Final = "owner"
STRANGER: Final = "stranger"
MODEL: Final = "owners-model"
FILES: Final = {"model.onnx": tiny_onnx()}
WEBHOOKS: Final = WebhookSettings(http=True, loopback=True, ports=frozenset())
CALIBRATION: Final = b"PK\x03\x04 an archive, as far as anybody looks here"


@dataclass(kw_only=True)
class World:
    """The registry, what ``owner`` has, and a key for each role in each tenant."""

    api: Api
    named: dict[str, str]  # owner's resources, by path parameter
    keys: Mapping[tuple[str, Role], str]
    strangest: str  # a key of ``stranger`` with every role inside a tenant

    async def send(self, method: str, path: str, key: str, **request: Any) -> httpx.Response:
        """Sends a request with a key."""
        headers = {"X-API-Key": key, **request.pop("headers", {})}
        return await self.api.http.request(method, path, headers=headers, **request)

    async def ask(self, method: str, path: str, key: str, **request: Any) -> tuple[int, str]:
        """Sends a request; its status, and its error code or an empty text."""
        response = await self.send(method, path, key, **request)
        return response.status_code, response.json()["error"]["code"] if response.is_error else ""


@dataclass(frozen=True, kw_only=True)
class Made:
    """A stopped registry, and what is in it."""

    home: Path
    named: Mapping[str, str]
    keys: Mapping[tuple[str, Role], str]
    strangest: str


@pytest.fixture(scope="session")
def made_world(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Made once; every test has a copy."""
    return asyncio.run(_made(tmp_path_factory.mktemp("world") / "home"))


@pytest.fixture
async def world(tmp_path: Path, made_world: Made) -> AsyncIterator[World]:
    shutil.copytree(made_world.home, tmp_path / "home")
    async with open_api(tmp_path / "home", webhooks=WEBHOOKS) as api:
        named, keys = dict(made_world.named), made_world.keys
        yield World(api=api, named=named, keys=keys, strangest=made_world.strangest)


async def _made(home: Path) -> Made:
    async with open_api(home, webhooks=WEBHOOKS) as api:
        for tenant in (OWNER, STRANGER):
            await api.ok("POST", "/tenants", json={"name": tenant})
            await api.ok("PUT", f"/tenants/{tenant}/features", json={"features": {"signing.p256": True}})
        keys = {(tenant, role): await api.key(role, tenant=tenant) for tenant in (OWNER, STRANGER) for role in Role}
        inside = [role for role in Role if role not in (Role.PLATFORM_ADMIN, Role.SERVICE)]
        strangest = await api.key(*inside, tenant=STRANGER)
        return Made(home=home, named=await _furnished(api, keys), keys=keys, strangest=strangest)


async def _furnished(api: Api, keys: Mapping[tuple[str, Role], str]) -> dict[str, str]:
    """Makes one of everything, through the API wherever it can be made there at once."""
    first = api.http.headers["X-API-Key"]
    api.http.headers["X-API-Key"] = keys[OWNER, Role.TENANT_ADMIN]
    try:
        await api.ok("POST", "/models", json={"name": MODEL})
        await api.push(MODEL, FILES)
        version, reason = f"/models/{MODEL}/versions/1", {"reason": "test"}
        await api.ok("PUT", "/gates/STAGING", json={"approvals": 1})
        state = (await api.ok("GET", f"{version}/readiness?target=STAGING"))["state"]
        approver = {"X-API-Key": keys[OWNER, Role.APPROVER]}
        approval = {"target": "STAGING", "state": state}
        approved = await api.ok("POST", f"{version}/approvals", json=approval, headers=approver)
        await api.ok("PUT", f"/models/{MODEL}/aliases/champion", json={"version": 1, **reason})
        webhook = await api.ok("POST", "/webhooks", json={"url": "http://127.0.0.1:9/hook"})
        await api.ok("POST", f"/webhooks/{webhook['id']}/test")
        (delivery,) = (await api.ok("GET", f"/webhooks/{webhook['id']}/deliveries"))["items"]
        tuning = await api.ok("POST", "/tunings", json={"model": MODEL})
        conversion = await api.ok("POST", f"{version}/conversions", json={"to": "onnx-fp16"})
        await api.ok("PUT", f"/models/{MODEL}/calibrations/theirs.npz", content=CALIBRATION)
        build = await api.ok("POST", "/builds", json={"model": MODEL})
        key = await api.ok("POST", "/keys", json={"name": "theirs", "roles": ["viewer"]})
        await _deploy(api, build)
        image = await _image(api, build)
        return {
            "tenant": OWNER,
            "model": MODEL,
            "version": "1",
            "alias": "champion",
            "target": "STAGING",
            "approval": str(approved["id"]),
            "upload": await api.declare(MODEL, FILES),
            "path": "model.onnx",
            "webhook": webhook["id"],
            "delivery": delivery["id"],
            "tuning": tuning["id"],
            "conversion": conversion["id"],
            "calibration": "theirs.npz",
            "form": "onnx-fp32",
            "device": "cpu",
            "build": build["id"],
            "image": image,
            "digest": "sha256:" + "0123456789abcdef" * 4,
            "job": build["job_id"],
            "name": "their-deployment",
            "key": key["id"],
        }
    finally:
        api.http.headers["X-API-Key"] = first


async def _deploy(api: Api, build: Mapping[str, Any]) -> None:
    """A deployment that a worker would have made; there is none here."""
    now = datetime.now(UTC)
    row = DeploymentRow(
        id=uuid4().hex,
        tenant=OWNER,
        name="their-deployment",
        build_id=build["id"],
        model=MODEL,
        version=1,
        digest="sha256:" + "0" * 64,
        target="process",
        auth="api_key",
        state="running",
        job_id=build["job_id"],
        created_at=now,
        updated_at=now,
    )
    async with api.platform.db.write(EVERY_TENANT) as session:
        session.add(row)


async def _image(api: Api, build: Mapping[str, Any]) -> str:
    """An image that waits for a worker; its build has none to finish it either. Its id."""
    row = ImageRow(
        id=uuid4().hex,
        tenant=OWNER,
        build_id=build["id"],
        model=MODEL,
        version=1,
        variant="onnx-fp32/cpu",
        format="onnx",
        variant_digest="sha256:" + "0" * 64,
        variant_signature_digest="sha256:" + "0" * 64,
        builder="auto",
        device="cpu",
        architecture="amd64",
        job_id=build["job_id"],
        created_at=datetime.now(UTC),
    )
    async with api.platform.db.write(EVERY_TENANT) as session:
        session.add(row)
        return row.id


NEW_FILES: Final = declared({"model.onnx": tiny_onnx(1)})
