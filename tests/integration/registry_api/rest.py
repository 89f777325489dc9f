# SPDX-License-Identifier: Apache-2.0
"""A whole registry behind its HTTP application, in process: real SQLite, store, keys and model inspection."""

from __future__ import annotations

import hashlib
import shutil
import struct
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from onnx import TensorProto, helper

from artifacts.digest import hex_of
from core.clock import Clock
from registry_api.app import create_app
from registry_api.bootstrap.platform import Platform, open_platform, open_services
from registry_api.http.services import Services
from registry_api.settings.registry import Settings
from registry_api.settings.storage import DatabaseSettings

BASE = "http://registry"


def tiny_onnx(seed: int = 0) -> bytes:
    """A valid ONNX classifier head (4 features, 3 classes) whose bytes differ by ``seed``."""
    return _head(helper.make_tensor("w", TensorProto.FLOAT, [4, 3], [float(seed + at) for at in range(12)]))


def split_onnx(weights: str) -> dict[str, bytes]:
    """The same head as two files: its weights lie at the path ``weights`` beside it."""
    outside = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 3], data_location=TensorProto.EXTERNAL)
    outside.external_data.add(key="location", value=weights)
    return {"model.onnx": _head(outside), weights: struct.pack("<12f", *range(12))}


def _head(weights: TensorProto) -> bytes:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, 3])],
        [weights],
    )
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9).SerializeToString()
    )


def digest_of(data: bytes) -> str:
    """The digest as the API writes it."""
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def declared(files: Mapping[str, bytes]) -> list[dict[str, Any]]:
    """The file list of an upload."""
    return [{"path": path, "size": len(data), "digest": digest_of(data)} for path, data in files.items()]


@dataclass(kw_only=True)
class Api:
    """A client of one registry, and what stands behind it."""

    http: httpx.AsyncClient
    platform: Platform
    services: Services
    app: FastAPI

    async def ok(self, method: str, path: str, **request: Any) -> Any:
        """Sends a request that must succeed; its JSON."""
        response = await self.http.request(method, f"/api/v1{path}", **request)
        assert response.is_success, response.text
        return response.json() if response.content else None

    async def refused(self, method: str, path: str, **request: Any) -> tuple[int, str]:
        """Sends a request that must fail; its status and code."""
        response = await self.http.request(method, f"/api/v1{path}", **request)
        assert response.is_error, response.text
        return response.status_code, response.json()["error"]["code"]

    async def key(self, *roles: str, tenant: str = "default") -> str:
        """A new API key."""
        body = {"name": " ".join(roles), "roles": list(roles), "tenant": tenant}
        return str((await self.ok("POST", "/keys", json=body))["key"])

    async def declare(self, model: str, files: Mapping[str, bytes], **more: Any) -> str:
        """Opens an upload; its id."""
        body = {"files": declared(files), **more}
        return str((await self.ok("POST", f"/models/{model}/uploads", json=body))["id"])

    async def send(self, upload: str, files: Mapping[str, bytes]) -> None:
        """Sends files."""
        for path, data in files.items():
            await self.ok("PUT", f"/uploads/{upload}/files/{path}", content=data)

    async def push(self, model: str, files: Mapping[str, bytes], **more: Any) -> Any:
        """Registers the next version; its JSON."""
        upload = await self.declare(model, files, **more)
        await self.send(upload, files)
        return await self.ok("POST", f"/uploads/{upload}/complete")

    def damage(self, digest: str) -> None:
        """Flips a bit of a stored blob."""
        (blob,) = self.platform.settings.home.glob(f"blobs/**/{hex_of(digest)}")
        data = bytearray(blob.read_bytes())
        data[10] ^= 1
        blob.chmod(0o600)
        blob.write_bytes(data)

    async def versions(self, model: str) -> Sequence[int]:
        """All version numbers of a model, newest first."""
        page = await self.ok("GET", f"/models/{model}/versions?limit=200")
        return [item["version"] for item in page["items"]]


@asynccontextmanager
async def open_api(home: Path, *, clock: Clock | None = None, **sections: Any) -> AsyncIterator[Api]:
    """Starts a registry in ``home``; ``sections`` are settings."""
    settings = Settings(home=home, **sections)
    async with open_platform(settings, clock) as platform, open_services(platform) as services:
        app = create_app(services, settings.limits, settings.http, platform.clock)
        key = settings.admin_key_file.read_text().strip()
        transport = httpx.ASGITransport(app=app)
        async with httpx.AsyncClient(transport=transport, base_url=BASE, headers={"X-API-Key": key}) as client:
            yield Api(http=client, platform=platform, services=services, app=app)


@pytest.fixture
async def api(tmp_path: Path, database: DatabaseSettings, empty_home: Path) -> AsyncIterator[Api]:
    """A registry after its first start, on SQLite and on PostgreSQL, whose client holds the first admin key."""
    if database.url is None:
        shutil.copytree(empty_home, tmp_path / "home", dirs_exist_ok=True)
    async with open_api(tmp_path / "home", database=database) as api:
        yield api
