# SPDX-License-Identifier: Apache-2.0
"""A real registry process is killed with SIGKILL in the middle of its work, and its disk is full.

After a restart either the whole of a change exists or none of it, and what was cut off can be done again.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from artifacts.signing.policy import Subject, TrustPolicy
from artifacts.signing.verifier import BundleVerifier
from core.clock import SystemClock
from tests.integration.registry_api.process import RegistryProcess
from tests.integration.registry_api.rest import declared, digest_of, tiny_onnx

MODEL = tiny_onnx()
LARGE = bytes(range(256)) * (8 << 12)  # 8 MiB


def client(server: RegistryProcess) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=f"{server.url}/api/v1", headers=server.headers, timeout=60)


async def declare(http: httpx.AsyncClient, files: dict[str, bytes], **more: Any) -> str:
    response = await http.post("/models/digits/uploads", json={"files": declared(files), **more})
    return str(response.raise_for_status().json()["id"])


async def prepared(http: httpx.AsyncClient, note: str) -> str:
    """An upload whose files have all arrived."""
    files = {"model.onnx": MODEL}
    upload = await declare(http, files, metadata={"note": note})
    for path, data in files.items():
        (await http.put(f"/uploads/{upload}/files/{path}", content=data)).raise_for_status()
    return upload


async def all_versions(http: httpx.AsyncClient) -> dict[int, Any]:
    page = (await http.get("/models/digits/versions?limit=200")).raise_for_status().json()
    return {item["version"]: item for item in page["items"]}


async def check_version(http: httpx.AsyncClient, version: dict[str, Any]) -> None:
    """Its manifest verifies under the trust policy and every file is there, byte for byte."""
    at = f"/models/digits/versions/{version['version']}"
    policy = TrustPolicy.from_bytes((await http.get("/trust")).content)
    manifest = BundleVerifier(policy, SystemClock()).verify_manifest(
        (await http.get(f"{at}/manifest")).content,
        (await http.get(f"{at}/signature")).content,
        subject=Subject(tenant="default", model="digits", version=version["version"]),
    )
    assert manifest.digest == version["digest"]
    for entry in manifest.files:
        assert digest_of((await http.get(f"{at}/files/{entry.path}")).content) == entry.digest


@pytest.mark.fault("kill -9 of the registry while models are pushed and promoted")
async def test_killed_during_an_upload_nothing_is_visible_and_sending_again_works(tmp_path: Path) -> None:
    """Half of a file arrived; after the restart it is not received, and the same upload is finished."""
    files = {"model.onnx": MODEL, "large.bin": LARGE}
    with RegistryProcess(tmp_path / "home") as server:
        async with client(server) as http:
            (await http.post("/models", json={"name": "digits"})).raise_for_status()
            upload = await declare(http, files)

            async def half_then_kill() -> AsyncIterator[bytes]:
                for start in range(0, len(LARGE) // 2, 1 << 16):
                    yield LARGE[start : start + (1 << 16)]
                server.kill()
                yield LARGE[len(LARGE) // 2 :]

            with pytest.raises(httpx.TransportError):
                await http.put(
                    f"/uploads/{upload}/files/large.bin",
                    content=half_then_kill(),
                    headers={"Content-Length": str(len(LARGE))},
                )
        server.restart()
        async with client(server) as http:
            shown = (await http.get(f"/uploads/{upload}")).json()
            assert [(file["path"], file["received"]) for file in shown["files"]] == [
                ("model.onnx", False),
                ("large.bin", False),
            ]
            assert await all_versions(http) == {}
            for path, data in files.items():
                (await http.put(f"/uploads/{upload}/files/{path}", content=data)).raise_for_status()
            version = (await http.post(f"/uploads/{upload}/complete")).raise_for_status().json()
            assert version["version"] == 1
            await check_version(http, version)


@pytest.mark.fault("kill -9 of the registry while models are pushed and promoted")
async def test_killed_while_uploads_are_completed_versions_stay_whole_and_consecutive(tmp_path: Path) -> None:
    """Killed after 0, 2 and 9 of 24 answers: numbers have no gap, each version verifies, the rest completes later."""
    with RegistryProcess(tmp_path / "home") as server:
        async with client(server) as http:
            (await http.post("/models", json={"name": "digits"})).raise_for_status()
            uploads = await asyncio.gather(*(prepared(http, f"{at}") for at in range(24)))
        answered: dict[str, int] = {}
        for goal in (0, 2, 9):
            answered |= await _complete_and_kill(server, uploads, goal)
            server.restart()
            async with client(server) as http:
                found = await all_versions(http)
            assert sorted(found) == list(range(1, len(found) + 1))
            assert set(answered.values()) <= found.keys()
        async with client(server) as http:
            done = [(await http.post(f"/uploads/{upload}/complete")).raise_for_status().json() for upload in uploads]
            assert sorted(version["version"] for version in done) == list(range(1, 25))
            assert {upload: done[uploads.index(upload)]["version"] for upload in answered} == answered
            for version in done[::5]:
                await check_version(http, version)


async def _complete_and_kill(server: RegistryProcess, uploads: list[str], goal: int) -> dict[str, int]:
    """Completes all uploads at once and kills the server when ``goal`` new answers came; those answers."""
    answered: dict[str, int] = {}

    async def complete(http: httpx.AsyncClient, upload: str) -> None:
        try:
            response = await http.post(f"/uploads/{upload}/complete")
        except httpx.TransportError:
            return
        answered[upload] = response.raise_for_status().json()["version"]
        if len(answered) > goal:
            server.kill()

    async with client(server) as http:
        await asyncio.gather(*(complete(http, upload) for upload in uploads))
    return answered


@pytest.mark.fault("kill -9 of the registry while models are pushed and promoted")
async def test_killed_during_promotions_one_version_is_in_production_and_history_agrees(tmp_path: Path) -> None:
    """Killed after 1 and 7 answers: never two in production, and the last move of each version is its stage."""
    with RegistryProcess(tmp_path / "home") as server:
        async with client(server) as http:
            (await http.post("/models", json={"name": "digits"})).raise_for_status()
            for at in range(4):
                upload = await prepared(http, f"{at}")
                (await http.post(f"/uploads/{upload}/complete")).raise_for_status()
                body = {"stage": "STAGING", "reason": "test"}
                (await http.put(f"/models/digits/versions/{at + 1}/stage", json=body)).raise_for_status()
        for goal in (1, 7):
            await _promote_and_kill(server, goal)
            server.restart()
            async with client(server) as http:
                stages = {number: item["stage"] for number, item in (await all_versions(http)).items()}
                moves = (await http.get("/models/digits/history?limit=200")).json()["items"]
                model = (await http.get("/models/digits")).json()
            assert list(stages.values()).count("PRODUCTION") == 1
            assert stages[model["production_version"]] == "PRODUCTION"
            latest: dict[int, str] = {}
            for item in moves:
                latest.setdefault(item["version"], item["to"])
            assert latest == stages


async def _promote_and_kill(server: RegistryProcess, goal: int) -> None:
    answers = 0

    async def promote(http: httpx.AsyncClient, version: int) -> None:
        nonlocal answers
        body = {"stage": "PRODUCTION", "reason": "test"}
        try:
            (await http.put(f"/models/digits/versions/{version}/stage", json=body)).raise_for_status()
        except httpx.TransportError:
            return
        answers += 1
        if answers >= goal:
            server.kill()

    async with client(server) as http:
        await asyncio.gather(*(promote(http, 1 + at % 4) for at in range(24)))


@pytest.mark.fault("disk full")
async def test_a_full_disk_refuses_the_file_clearly_and_leaves_nothing(tmp_path: Path) -> None:
    """507 STORE_004 when the kernel refuses to write; with room again the same upload is finished."""
    files = {"model.onnx": MODEL, "large.bin": LARGE}
    with RegistryProcess(tmp_path / "home") as server:
        async with client(server) as http:
            (await http.post("/models", json={"name": "digits"})).raise_for_status()
            upload = await declare(http, files)
            at = f"/uploads/{upload}/files/large.bin"
            unlimited = resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (4 << 20, resource.RLIM_INFINITY))
            response = await http.put(at, content=LARGE)
            assert (response.status_code, response.json()["error"]["code"]) == (507, "STORE_004")
            assert response.json()["error"]["retryable"] is True
            assert int(response.headers["retry-after"]) > 0
            shown = (await http.get(f"/uploads/{upload}")).json()
            assert not any(file["received"] for file in shown["files"])
            assert not [path for path in (server.home / "blobs" / "staging").glob("*") if path.is_file()]
            assert await all_versions(http) == {}
            resource.prlimit(server.pid, resource.RLIMIT_FSIZE, unlimited)
            for path, data in files.items():
                (await http.put(f"/uploads/{upload}/files/{path}", content=data)).raise_for_status()
            assert (await http.post(f"/uploads/{upload}/complete")).json()["version"] == 1


async def test_a_file_that_is_there_already_is_answered_without_being_read(tmp_path: Path) -> None:
    """The connection stays usable although the body was not wanted."""
    files = {"model.onnx": MODEL, "large.bin": LARGE}
    with RegistryProcess(tmp_path / "home") as server:
        async with client(server) as http:
            (await http.post("/models", json={"name": "digits"})).raise_for_status()
            upload = await declare(http, files)
            for _ in range(3):
                for path, data in files.items():
                    response = await http.put(f"/uploads/{upload}/files/{path}", content=data)
                    assert response.json()["received"] is True
                assert (await http.get("/whoami")).status_code == 200


async def test_a_signal_stops_the_server_normally(tmp_path: Path) -> None:
    """SIGTERM ends it with status 0, and no key was written to its log."""
    with RegistryProcess(tmp_path / "home") as server:
        assert server.stop() == 0
        assert server.admin_key not in server.log
        assert server.admin_key.rpartition("_")[2] not in server.log
