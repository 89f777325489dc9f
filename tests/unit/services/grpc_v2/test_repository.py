# SPDX-License-Identifier: Apache-2.0
"""Every method but inference, as a client sees it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from services.edge.auth import OpenAuth
from services.grpc_v2.protocol import open_inference_pb2 as pb
from services.grpc_v2.testing import INFERENCE, infer_request, outputs_of
from services.shared_memory.regions import RegionLimits, Regions
from services.testing import DIGEST, MODEL, TENANT

X = np.array([[1.5, 2.0]], dtype=np.float32)


async def status_of(call: Any) -> tuple[grpc.StatusCode, str]:
    """How a call that fails ends: its status and stable code."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    trailing = dict(caught.value.trailing_metadata() or ())
    return caught.value.code(), str(trailing["x-furoshiki-error"])


async def test_every_method_is_there(serving: Any) -> None:
    """No method of the protocol is left unanswered."""
    async with serving() as service:
        for method in INFERENCE.methods:
            if not method.client_streaming:
                call = service.channel.unary_unary(f"/{INFERENCE.full_name}/{method.name}")(b"")
                assert await call.code() is not grpc.StatusCode.UNIMPLEMENTED, method.name


async def test_the_server(serving: Any) -> None:
    """The server tells that it lives, is ready, its name, version and extensions; nobody need say who asks."""
    async with serving() as service:
        live = await service.methods.ServerLive(pb.ServerLiveRequest())
        ready = await service.methods.ServerReady(pb.ServerReadyRequest())
        about = await service.methods.ServerMetadata(pb.ServerMetadataRequest())
    assert (live.live, ready.ready, about.name, about.version) == (True, True, "furoshiki", "0")
    assert "system_shared_memory" not in about.extensions
    assert "statistics" in about.extensions


async def test_models(serving: Any) -> None:
    """A model tells its tensors, the digest and key of its bundle; one that does not exist is not ready."""
    async with serving() as service:
        about = await service.methods.ModelMetadata(pb.ModelMetadataRequest(name=MODEL, version="3"))
        names = {
            name: (await service.methods.ModelReady(pb.ModelReadyRequest(name=name))).ready for name in (MODEL, "other")
        }
        missing = await status_of(service.methods.ModelMetadata(pb.ModelMetadataRequest(name="other")))
    assert (about.name, list(about.versions), about.platform) == (MODEL, ["3"], "fake")
    assert [(t.name, t.datatype, list(t.shape)) for t in about.inputs] == [("x", "FP32", [-1, 2])]
    assert [(t.name, t.datatype, list(t.shape)) for t in about.outputs] == [("y", "FP32", [-1, 2])]
    assert about.properties["digest"] == DIGEST
    assert names == {MODEL: True, "other": False}
    assert missing == (grpc.StatusCode.NOT_FOUND, "MODEL_001")


async def test_the_repository(serving: Any) -> None:
    """A model can be unloaded and loaded again; the index tells where it stands."""
    load, unload = pb.RepositoryModelLoadRequest(model_name=MODEL), pb.RepositoryModelUnloadRequest(model_name=MODEL)
    async with serving(control=True) as service:
        methods = service.methods

        async def index(*, ready: bool = False) -> list[tuple[str, str, str]]:
            found = await methods.RepositoryIndex(pb.RepositoryIndexRequest(ready=ready))
            return [(m.name, m.version, m.state) for m in found.models]

        assert await index() == [(MODEL, "3", "READY")]
        assert (await methods.RepositoryModelUnload(unload)).is_unloaded
        assert await index() == [(MODEL, "3", "UNAVAILABLE")]
        assert await index(ready=True) == []
        assert not (await methods.ModelReady(pb.ModelReadyRequest(name=MODEL))).ready
        assert (await methods.RepositoryModelLoad(load)).is_loaded


async def test_callers_that_may_not(serving: Any) -> None:
    """Where callers do not control what is loaded, and for tenants without the features, the answer is PERMISSION_DENIED."""
    load = pb.RepositoryModelLoadRequest(model_name=MODEL)
    denied = (grpc.StatusCode.PERMISSION_DENIED, "AUTH_003")
    async with serving() as service:
        assert await status_of(service.methods.RepositoryModelLoad(load)) == denied
    async with serving(authenticator=OpenAuth(TENANT, features=frozenset()), control=True) as service:
        methods = service.methods
        assert await status_of(methods.RepositoryModelLoad(load)) == denied
        assert await status_of(methods.RepositoryIndex(pb.RepositoryIndexRequest())) == denied
        assert await status_of(methods.ModelStatistics(pb.ModelStatisticsRequest())) == denied
        assert await status_of(methods.SystemSharedMemoryStatus(pb.SystemSharedMemoryStatusRequest())) == denied
        assert (await methods.ModelReady(pb.ModelReadyRequest(name=MODEL))).ready


async def test_a_load_brings_nothing(serving: Any) -> None:
    """Files and configurations in a request to load are refused: what runs is what was signed."""
    async with serving(control=True) as service:
        for name in ("config", "file:1/model.onnx"):
            request = pb.RepositoryModelLoadRequest(
                model_name=MODEL, parameters={name: pb.ModelRepositoryParameter(string_param="{}")}
            )
            assert await status_of(service.methods.RepositoryModelLoad(request)) == (
                grpc.StatusCode.INVALID_ARGUMENT,
                "VALID_002",
            )


async def test_there_are_no_cuda_regions(serving: Any) -> None:
    """Clients that clean up both kinds of regions find nothing of this one."""
    async with serving() as service:
        found = await service.methods.CudaSharedMemoryStatus(pb.CudaSharedMemoryStatusRequest())
        await service.methods.CudaSharedMemoryUnregister(pb.CudaSharedMemoryUnregisterRequest())
    assert not found.regions


async def test_statistics(serving: Any) -> None:
    """Successes, failures, rows and batches are counted per model version."""
    async with serving() as service:
        await service.methods.ModelInfer(infer_request(MODEL, {"x": np.ones((3, 2), dtype=np.float32)}))
        await service.methods.ModelInfer(infer_request(MODEL, {"x": X}))
        answers = [
            await service.methods.ModelStatistics(pb.ModelStatisticsRequest(name=name, version=version))
            for name, version in (("", ""), (MODEL, "3"))
        ]
        missing = await status_of(service.methods.ModelStatistics(pb.ModelStatisticsRequest(name="other")))
    for answer in answers:
        [found] = answer.model_stats
        assert (found.name, found.version) == (MODEL, "3")
        assert (found.inference_count, found.execution_count) == (4, 2)
        assert found.inference_stats.success.count == 2
        assert found.inference_stats.compute_infer.ns > 0
        assert [(batch.batch_size, batch.compute_infer.count) for batch in found.batch_stats] == [(1, 1), (3, 1)]
        assert found.last_inference > 0
    assert missing == (grpc.StatusCode.NOT_FOUND, "MODEL_001")


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    """A shared memory object ``input``, in a folder of its own."""
    path = tmp_path / "input"
    path.write_bytes(X.tobytes() + bytes(8))
    return path


def placed(request: Any, size: int, offset: int = 0) -> None:
    """Says of a tensor that it lies in region ``r``."""
    request.parameters["shared_memory_region"].string_param = "r"
    request.parameters["shared_memory_byte_size"].int64_param = size
    if offset:
        request.parameters["shared_memory_offset"].int64_param = offset


def in_memory() -> pb.ModelInferRequest:
    """A request whose input and output are both in shared memory."""
    request = pb.ModelInferRequest(model_name=MODEL)
    placed(request.inputs.add(name="x", datatype="FP32", shape=[1, 2]), 8)
    placed(request.outputs.add(name="y"), 8, 8)
    return request


async def test_shared_memory(serving: Any, memory: Path) -> None:
    """Inputs are read from, outputs written to a registered region; the answer says where and carries no bytes."""
    regions = Regions(RegionLimits(enabled=True), folder=memory.parent)
    async with serving(regions=regions) as service:
        methods = service.methods
        await methods.SystemSharedMemoryRegister(
            pb.SystemSharedMemoryRegisterRequest(name="r", key="/input", byte_size=16)
        )
        found = await methods.SystemSharedMemoryStatus(pb.SystemSharedMemoryStatusRequest())
        answer = await methods.ModelInfer(in_memory())
        about = await methods.ServerMetadata(pb.ServerMetadataRequest())
        await methods.SystemSharedMemoryUnregister(pb.SystemSharedMemoryUnregisterRequest())
        gone = await methods.SystemSharedMemoryStatus(pb.SystemSharedMemoryStatusRequest())
        late = await status_of(methods.ModelInfer(in_memory()))
    assert {name: (r.key, r.offset, r.byte_size) for name, r in found.regions.items()} == {"r": ("/input", 0, 16)}
    assert list(answer.raw_output_contents) == [b""]
    told = answer.outputs[0].parameters
    assert told["shared_memory_region"].string_param == "r"
    assert (told["shared_memory_byte_size"].int64_param, told["shared_memory_offset"].int64_param) == (8, 8)
    assert np.fromfile(memory, dtype=np.float32).tolist() == [1.5, 2.0, 4.0, 5.0]
    assert "system_shared_memory" in about.extensions
    assert not gone.regions
    assert late == (grpc.StatusCode.INVALID_ARGUMENT, "VALID_002")


async def test_one_tensor_in_memory_and_one_in_the_message(serving: Any, memory: Path) -> None:
    """An input in shared memory has no raw contents; an output that is not placed comes back in the answer."""
    regions = Regions(RegionLimits(enabled=True), folder=memory.parent)
    regions.register(TENANT, "r", "/input", 0, 16)
    request = pb.ModelInferRequest(model_name=MODEL)
    placed(request.inputs.add(name="x", datatype="FP32", shape=[1, 2]), 8)
    async with serving(regions=regions) as service:
        answer = await service.methods.ModelInfer(request)
        request.raw_input_contents.append(b"12345678")
        both = await status_of(service.methods.ModelInfer(request))
    assert outputs_of(answer)["y"].tolist() == [[4.0, 5.0]]
    assert both == (grpc.StatusCode.INVALID_ARGUMENT, "VALID_008")


async def test_shared_memory_that_is_off(serving: Any) -> None:
    """Where the extension is off, requests that use it get AUTH_003."""
    async with serving() as service:
        assert await status_of(service.methods.ModelInfer(in_memory())) == (
            grpc.StatusCode.PERMISSION_DENIED,
            "AUTH_003",
        )
