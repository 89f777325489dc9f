# SPDX-License-Identifier: Apache-2.0
"""The protocol's extensions: repository, statistics, system shared memory, raw requests, features."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import pytest_asyncio

from core.errors import ErrorCode
from core.features import Feature
from runners.testing import FakeRunner
from services.edge.auth import OpenAuth
from services.edge.features import DEFAULT_FEATURES
from services.edge.limits import EdgeLimits
from services.shared_memory.regions import RegionLimits, Regions
from services.testing import TENANT, serving

ROUTE = "/v2/models/fake/infer"
ROWS = np.array([[1.5, 2], [3, -4]], dtype="<f4")
BODY = {"inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "data": ROWS.tolist()}]}


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with serving(FakeRunner(width=2), control=True) as client:
        yield client


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.headers.get("x-furoshiki-error", "ok")


async def test_index(client: httpx.AsyncClient) -> None:
    """The index names the model with its version and state; asked for what is ready, only that."""
    ready = [{"name": "fake", "version": "3", "state": "READY", "reason": ""}]
    for body in (b"", b"{}", b'{"ready":true}'):
        assert (await client.post("/v2/repository/index", content=body)).json() == ready
    await client.post("/v2/repository/models/fake/unload")
    unloaded = (await client.post("/v2/repository/index")).json()
    assert unloaded == [{"name": "fake", "version": "3", "state": "UNAVAILABLE", "reason": "unloaded"}]
    assert (await client.post("/v2/repository/index", json={"ready": True})).json() == []


async def test_load_and_unload(client: httpx.AsyncClient) -> None:
    """Unloaded, neither the model nor the service is ready; loaded again, both are. Each may be told twice."""
    ready = ("/v2/models/fake/ready", "/v2/models/fake/versions/3/ready", "/v2/health/ready")
    for path in ("load", "unload", "unload"):
        assert (await client.post(f"/v2/repository/models/fake/{path}", json={"parameters": {}})).json() == {}
    assert [(await client.get(path)).status_code for path in ready] == [503, 503, 503]
    assert (await client.get(ready[0])).json() == {"name": "fake", "ready": False}
    assert code(await client.post(ROUTE, json=BODY)) == (503, ErrorCode.MODEL_NOT_READY)
    assert (await client.get("/v2/health/live")).status_code == 200
    await client.post("/v2/repository/models/fake/load")
    assert [(await client.get(path)).status_code for path in ready] == [200, 200, 200]


@pytest.mark.parametrize("action", ["load", "unload"])
async def test_changing_what_is_not_there(client: httpx.AsyncClient, action: str) -> None:
    """A model nobody has cannot be loaded or unloaded."""
    response = await client.post(f"/v2/repository/models/other/{action}")
    assert code(response) == (404, ErrorCode.MODEL_NOT_FOUND)


@pytest.mark.parametrize("parameters", [{"config": "{}"}, {"file:1/model.onnx": "AAAA"}])
async def test_a_model_is_loaded_as_it_was_signed(client: httpx.AsyncClient, parameters: dict[str, str]) -> None:
    """A load request cannot bring files or a configuration of its own."""
    response = await client.post("/v2/repository/models/fake/load", json={"parameters": parameters})
    assert code(response) == (400, ErrorCode.INVALID_FIELD)


@pytest.mark.parametrize("action", ["load", "unload"])
async def test_control_is_off_unless_allowed(action: str) -> None:
    """Callers change nothing unless the operator allows it; the index is open."""
    async with serving(FakeRunner()) as client:
        response = await client.post(f"/v2/repository/models/fake/{action}")
        assert (await client.post("/v2/repository/index")).status_code == 200
    assert code(response) == (403, ErrorCode.AUTH_FORBIDDEN)
    assert "FUROSHIKI_REPOSITORY__CONTROL" in response.json()["error"]


@pytest.mark.parametrize("path", ["/v2/repository/index", "/v2/repository/models/fake/load"])
@pytest.mark.parametrize("body", [b"[]", b"{", b'{"ready":1,"parameters":1}', b"\xff", b"[" * 5000])
async def test_bodies_that_are_not_such(client: httpx.AsyncClient, path: str, body: bytes) -> None:
    """A body of another form is 400."""
    assert code(await client.post(path, content=body)) == (400, ErrorCode.MALFORMED)


async def test_statistics(client: httpx.AsyncClient) -> None:
    """Counters appear under every route that names the model, with each of the protocol's fields."""
    for _ in range(3):
        await client.post(ROUTE, json=BODY)
    answers = [(await client.get(f"/v2/models{path}/stats")).json() for path in ("", "/fake", "/fake/versions/3")]
    assert answers[0] == answers[1] == answers[2]
    (model,) = answers[0]["model_stats"]
    assert (model["name"], model["version"], model["inference_count"]) == ("fake", "3", 6)
    assert 0 < model["execution_count"] <= 3
    assert model["last_inference"] > 1_600_000_000_000
    stats = model["inference_stats"]
    assert set(stats) == {
        *("success", "fail", "queue", "compute_input", "compute_infer", "compute_output", "cache_hit", "cache_miss")
    }
    assert stats["success"]["count"] == 3
    assert stats["success"]["ns"] > 0
    assert stats["fail"] == stats["cache_hit"] == {"count": 0, "ns": 0}
    assert sum(batch["compute_infer"]["count"] for batch in model["batch_stats"]) == model["execution_count"]
    assert {batch["batch_size"] for batch in model["batch_stats"]} <= {2, 4, 6}


async def test_statistics_of_what_is_not_there(client: httpx.AsyncClient) -> None:
    """An unknown model or version is 404; an unloaded one counts nothing; all of nothing is an empty list."""
    for path in ("other", "fake/versions/9"):
        assert code(await client.get(f"/v2/models/{path}/stats")) == (404, ErrorCode.MODEL_NOT_FOUND)
    await client.post("/v2/repository/models/fake/unload")
    (model,) = (await client.get("/v2/models/fake/stats")).json()["model_stats"]
    assert (model["version"], model["inference_count"], model["batch_stats"]) == ("3", 0, [])
    assert (await client.get("/v2/models/stats")).json() == {"model_stats": []}


class Memory:
    """A client's side: an object ``/mine`` in a folder that stands for /dev/shm, and the service over it."""

    def __init__(self, folder: Path, client: httpx.AsyncClient) -> None:
        self.file = folder / "mine"
        self.client = client

    async def register(self, name: str = "r", **fields: Any) -> httpx.Response:
        body = {"key": "/mine", "offset": 0, "byte_size": 64, **fields}
        return await self.client.post(f"/v2/systemsharedmemory/region/{name}/register", json=body)

    async def infer(self, source: dict[str, Any], target: dict[str, Any] | None = None, **more: Any) -> httpx.Response:
        message: dict[str, Any] = {
            "inputs": [{"name": "x", "shape": [2, 2], "datatype": "FP32", "parameters": source, **more}]
        }
        if target is not None:
            message["outputs"] = [{"name": "y", "parameters": target}]
        return await self.client.post(ROUTE, json=message)


def at(offset: int = 0, size: int = 16, region: str = "r") -> dict[str, Any]:
    return {"shared_memory_region": region, "shared_memory_offset": offset, "shared_memory_byte_size": size}


@pytest_asyncio.fixture
async def memory(tmp_path: Path) -> AsyncIterator[Memory]:
    (tmp_path / "mine").write_bytes(ROWS.tobytes().ljust(64, b"\0"))
    regions = Regions(RegionLimits(enabled=True, regions=2), folder=tmp_path)
    async with serving(FakeRunner(width=2), regions=regions, limits=EdgeLimits(body_bytes=1000)) as client:
        yield Memory(tmp_path, client)


async def test_tensors_in_shared_memory(memory: Memory) -> None:
    """Input and output travel through memory; the answer says where the output lies, and carries no data."""
    assert (await memory.register()).json() == {}
    response = await memory.infer(at(), at(32, 20))
    assert response.json()["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [2, 2], "parameters": at(32)}]
    assert "inference-header-content-length" not in response.headers
    np.testing.assert_array_equal(np.frombuffer(memory.file.read_bytes()[32:48], "<f4").reshape(2, 2), 2 * ROWS + 1)


async def test_memory_in_and_body_out(memory: Memory) -> None:
    """Only the input may lie in memory, and then the output comes as usual."""
    await memory.register()
    assert (await memory.infer(at())).json()["outputs"][0]["data"] == (2 * ROWS + 1).ravel().tolist()


async def test_region_routes(memory: Memory) -> None:
    """What is registered is shown, alone or with all, and can be forgotten alone or with all."""
    await memory.register("a", byte_size=10)
    await memory.register("b", offset=4, byte_size=20)
    a, b = (
        {"name": name, "key": "/mine", "offset": offset, "byte_size": size}
        for name, offset, size in (("a", 0, 10), ("b", 4, 20))
    )
    status = "/v2/systemsharedmemory/{}status"
    assert (await memory.client.get(status.format(""))).json() == [a, b]
    assert (await memory.client.get(status.format("region/b/"))).json() == [b]
    assert (await memory.client.post("/v2/systemsharedmemory/region/a/unregister")).json() == {}
    assert (await memory.client.get(status.format(""))).json() == [b]
    assert (await memory.client.post("/v2/systemsharedmemory/unregister")).json() == {}
    assert (await memory.client.get(status.format(""))).json() == []


@pytest.mark.parametrize(
    ("fields", "outcome"),
    [
        ({"key": "/absent"}, (400, ErrorCode.INVALID_FIELD)),
        ({"key": "/../mine"}, (400, ErrorCode.INVALID_FIELD)),
        ({"key": "/etc/passwd"}, (400, ErrorCode.INVALID_FIELD)),
        ({"byte_size": 65}, (400, ErrorCode.INVALID_FIELD)),
        ({"offset": 1}, (400, ErrorCode.INVALID_FIELD)),
        ({"offset": -1}, (400, ErrorCode.INVALID_FIELD)),
        ({"byte_size": 0}, (400, ErrorCode.INVALID_FIELD)),
        ({"byte_size": "64"}, (400, ErrorCode.MALFORMED)),
        ({"byte_size": 1.5}, (400, ErrorCode.MALFORMED)),
        ({"key": None}, (400, ErrorCode.MALFORMED)),
        ({"name": "taken"}, (409, ErrorCode.RESOURCE_EXISTS)),
        ({"name": "third"}, (429, ErrorCode.QUOTA_EXCEEDED)),
    ],
)
async def test_regions_that_are_refused(memory: Memory, fields: dict[str, Any], outcome: tuple[int, str]) -> None:
    """A region that is not one, or one too many, is refused with the code that names why."""
    await memory.register("taken")
    if "name" in fields:
        await memory.register("second")
    assert code(await memory.register(**fields)) == outcome


@pytest.mark.parametrize(
    ("source", "target", "more", "outcome"),
    [
        (at(region="other"), None, {}, (400, ErrorCode.INVALID_FIELD)),
        (at(offset=50), None, {}, (400, ErrorCode.INVALID_FIELD)),
        (at(offset=2**62), None, {}, (400, ErrorCode.INVALID_FIELD)),
        (at(size=12), None, {}, (400, ErrorCode.TENSOR_DATA)),
        (at(size=20), None, {}, (400, ErrorCode.TENSOR_DATA)),
        ({"shared_memory_region": "r"}, None, {}, (400, ErrorCode.INVALID_FIELD)),
        (at(), at(region="other"), {}, (400, ErrorCode.INVALID_FIELD)),
        (at(), at(offset=60), {}, (400, ErrorCode.INVALID_FIELD)),
        (at(), at(size=8), {}, (400, ErrorCode.INVALID_FIELD)),
        (at(), None, {"data": [1, 2, 3, 4]}, (400, ErrorCode.TENSOR_DATA)),
        (at() | {"binary_data_size": 16}, None, {}, (400, ErrorCode.TENSOR_DATA)),
        (at(size=900), None, {"shape": [100, 2]}, (400, ErrorCode.TENSOR_DATA)),
        (at(size=4000), None, {"shape": [500, 2]}, (413, ErrorCode.TOO_LARGE)),
    ],
)
async def test_references_that_are_refused(
    memory: Memory,
    source: dict[str, Any],
    target: dict[str, Any] | None,
    more: dict[str, Any],
    outcome: tuple[int, str],
) -> None:
    """An unknown region, a place outside of it, a size that is not the tensor's, and two kinds of data at once."""
    await memory.register()
    assert code(await memory.infer(source, target, **more)) == outcome
    assert memory.file.read_bytes() == ROWS.tobytes().ljust(64, b"\0")


async def test_a_region_that_was_truncated(memory: Memory) -> None:
    """A client that truncates its object gets an error; the service goes on."""
    await memory.register()
    with memory.file.open("r+b") as file:
        file.truncate(8)
    assert code(await memory.infer(at())) == (400, ErrorCode.INVALID_FIELD)
    assert (await memory.client.post(ROUTE, json=BODY)).status_code == 200


async def test_shared_memory_is_off_unless_allowed() -> None:
    """Without the operator's word neither routes nor references work, and the server does not offer them."""
    async with serving(FakeRunner(width=2)) as client:
        memory = Memory(Path("/nowhere"), client)
        refused = [
            await memory.register(),
            await memory.infer(at()),
            await client.get("/v2/systemsharedmemory/status"),
            await client.post("/v2/systemsharedmemory/unregister"),
        ]
        assert "system_shared_memory" not in (await client.get("/v2")).json()["extensions"]
    assert [code(response) for response in refused] == [(403, ErrorCode.AUTH_FORBIDDEN)] * 4


async def test_extensions_are_offered_as_they_are(memory: Memory) -> None:
    """Server metadata lists what works here."""
    extensions = (await memory.client.get("/v2")).json()["extensions"]
    assert extensions == [
        *("binary_tensor_data", "schedule_policy", "model_repository", "statistics", "system_shared_memory")
    ]


async def test_there_is_no_cuda_shared_memory(client: httpx.AsyncClient) -> None:
    """Clients that clean up by habit are told that there is nothing; to register something is no route."""
    assert (await client.get("/v2/cudasharedmemory/status")).json() == []
    assert (await client.post("/v2/cudasharedmemory/unregister")).json() == {}
    response = await client.post("/v2/cudasharedmemory/region/r/register", json={})
    assert code(response) == (404, ErrorCode.ROUTE_NOT_FOUND)


@pytest.mark.parametrize(
    ("feature", "method", "path", "body"),
    [
        (Feature.V2_REPOSITORY, "POST", "/v2/repository/index", {}),
        (Feature.V2_REPOSITORY, "POST", "/v2/repository/models/fake/load", {}),
        (Feature.V2_REPOSITORY, "POST", "/v2/repository/models/fake/unload", {}),
        (Feature.V2_STATISTICS, "GET", "/v2/models/stats", None),
        (Feature.V2_STATISTICS, "GET", "/v2/models/fake/stats", None),
        (Feature.V2_SHARED_MEMORY, "GET", "/v2/systemsharedmemory/status", None),
        (Feature.V2_SHARED_MEMORY, "POST", "/v2/systemsharedmemory/unregister", {}),
        (Feature.V2_SHARED_MEMORY, "POST", "/v2/systemsharedmemory/region/r/register", {"key": "/m", "byte_size": 1}),
        (Feature.V2_SHARED_MEMORY, "POST", ROUTE, {"inputs": [], "outputs": [{"name": "y", "parameters": at()}]}),
        (Feature.V2_BINARY, "POST", ROUTE, BODY | {"parameters": {"binary_data_output": True}}),
        (Feature.V2_BINARY, "POST", ROUTE, BODY | {"outputs": [{"name": "y", "parameters": {"binary_data": True}}]}),
    ],
)
async def test_features(tmp_path: Path, feature: Feature, method: str, path: str, body: dict[str, Any] | None) -> None:
    """What is switched off for a tenant is refused to it with 403, and plain requests are answered."""
    regions = Regions(RegionLimits(enabled=True), folder=tmp_path)
    (tmp_path / "m").write_bytes(bytes(20))
    regions.register(TENANT, "r", "/m", 0, 20)
    tenant = OpenAuth(TENANT, features=DEFAULT_FEATURES - {feature})
    async with serving(FakeRunner(width=2), authenticator=tenant, regions=regions, control=True) as client:
        response = await client.request(method, path, json=body)
        plain = await client.post(ROUTE, json=BODY)
    assert code(response) == (403, ErrorCode.AUTH_FORBIDDEN)
    assert feature in response.json()["error"]
    assert plain.status_code == 200


@pytest.mark.parametrize("length", ["0", "16"])
async def test_binary_requests_are_a_feature(length: str) -> None:
    """Without the binary extension a length header is refused, whatever it says."""
    tenant = OpenAuth(TENANT, features=DEFAULT_FEATURES - {Feature.V2_BINARY})
    async with serving(FakeRunner(width=2), authenticator=tenant) as client:
        headers = {"Inference-Header-Content-Length": length}
        response = await client.post(ROUTE, content=json.dumps(BODY), headers=headers)
    assert code(response) == (403, ErrorCode.AUTH_FORBIDDEN)
