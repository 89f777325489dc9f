# SPDX-License-Identifier: Apache-2.0
"""Everything of the protocol but inference: server, models, repository, statistics, shared memory.

Whose models and regions are meant is decided by the credential alone. Names of repositories are ignored: there is one.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias, TypeVar

from google.protobuf.message import Message

from core.errors import ErrorCode, InvalidRequest, ModelError
from core.features import Feature
from core.tensors import TensorSpec
from runners.statistics import Counted, ModelStatistics
from services.edge.context import Principal
from services.edge.features import require
from services.grpc_v2.calls import Call, Context, Desk, Parts
from services.grpc_v2.messages import parse
from services.grpc_v2.protocol import open_inference_pb2 as pb

EXTENSIONS: Final = ("binary_tensor_data", "schedule_policy", "model_repository", "statistics")
_MEMORY_EXTENSION: Final = "system_shared_memory"

_Request = TypeVar("_Request", bound=Message)
Answer: TypeAlias = Callable[[Call, bytes, Context], Awaitable[bytes]]


class ServerFacts:
    """What anybody may ask.

    Args:
        parts: What calls are answered with.
        version: This server's version.
    """

    def __init__(self, parts: Parts, *, version: str) -> None:
        self._plane = parts.plane
        extensions = (*EXTENSIONS, _MEMORY_EXTENSION) if parts.regions.enabled else EXTENSIONS
        self._metadata = pb.ServerMetadataResponse(name="furoshiki", version=version, extensions=extensions)

    async def live(self, _call: Call, _message: bytes, _context: Context) -> bytes:
        """ServerLive."""
        return pb.ServerLiveResponse(live=True).SerializeToString()

    async def ready(self, _call: Call, _message: bytes, _context: Context) -> bytes:
        """ServerReady."""
        return pb.ServerReadyResponse(ready=await self._plane.ready()).SerializeToString()

    async def metadata(self, _call: Call, _message: bytes, _context: Context) -> bytes:
        """ServerMetadata."""
        return self._metadata.SerializeToString()


class Repository:
    """What a tenant may ask about its own.

    Args:
        parts: What calls are answered with.
        desk: Where calls come in and go out.
    """

    def __init__(self, parts: Parts, desk: Desk) -> None:
        self._plane = parts.plane
        self._regions = parts.regions
        self._desk = desk

    def asked(
        self,
        kind: type[_Request],
        answer: Callable[[Principal, _Request], Awaitable[Message]],
        feature: Feature | None = None,
    ) -> Answer:
        """How one method is answered.

        Args:
            kind: Its request.
            answer: Makes the response or raises.
            feature: What a tenant must have to call it.
        """

        async def respond(call: Call, message: bytes, _context: Context) -> bytes:
            principal = await self._desk.identify(call)
            if feature is not None:
                require(principal, feature)
            response = await answer(principal, parse(kind, message))
            return response.SerializeToString()

        return respond

    async def model_ready(self, principal: Principal, request: pb.ModelReadyRequest) -> Message:
        """ModelReady. A model that does not exist is not ready: clients ask before they have loaded it."""
        try:
            ready = await self._plane.model_ready(principal, request.name, request.version or None)
        except ModelError as error:
            if error.code is not ErrorCode.MODEL_NOT_FOUND:
                raise
            ready = False
        return pb.ModelReadyResponse(ready=ready)

    async def model_metadata(self, principal: Principal, request: pb.ModelMetadataRequest) -> Message:
        """ModelMetadata."""
        found = await self._plane.describe(principal, request.name, request.version or None)
        return pb.ModelMetadataResponse(
            name=found.name,
            versions=[found.version],
            platform=found.runner,
            inputs=_tensors(found.signature.inputs),
            outputs=_tensors(found.signature.outputs),
            properties={"digest": found.digest, "key_id": found.key_id},
        )

    async def index(self, principal: Principal, request: pb.RepositoryIndexRequest) -> Message:
        """RepositoryIndex."""
        states = await self._plane.index(principal, ready_only=request.ready)
        kind = pb.RepositoryIndexResponse.ModelIndex
        return pb.RepositoryIndexResponse(
            models=[kind(name=s.name, version=s.version, state=s.state, reason=s.reason) for s in states]
        )

    async def load(self, principal: Principal, request: pb.RepositoryModelLoadRequest) -> Message:
        """RepositoryModelLoad. A model's files and configuration are what was registered; a request cannot bring others."""
        brought = next((name for name in request.parameters if name == "config" or name.startswith("file:")), None)
        if brought is not None:
            raise InvalidRequest(
                ErrorCode.INVALID_FIELD,
                f"Parameter {brought[:80]!r}: a model is loaded as it was registered and signed; nothing can be replaced.",
            )
        await self._plane.load(principal, request.model_name)
        return pb.RepositoryModelLoadResponse(model_name=request.model_name, is_loaded=True)

    async def unload(self, principal: Principal, request: pb.RepositoryModelUnloadRequest) -> Message:
        """RepositoryModelUnload."""
        await self._plane.unload(principal, request.model_name)
        return pb.RepositoryModelUnloadResponse(model_name=request.model_name, is_unloaded=True)

    async def statistics(self, principal: Principal, request: pb.ModelStatisticsRequest) -> Message:
        """ModelStatistics."""
        found = await self._plane.statistics(principal, request.name or None, request.version or None)
        return pb.ModelStatisticsResponse(model_stats=[_statistics(*entry) for entry in found])

    async def memory_status(self, principal: Principal, request: pb.SystemSharedMemoryStatusRequest) -> Message:
        """SystemSharedMemoryStatus."""
        kind = pb.SystemSharedMemoryStatusResponse.RegionStatus
        regions = self._regions.status(principal.tenant, request.name or None)
        return pb.SystemSharedMemoryStatusResponse(
            regions={r.name: kind(name=r.name, key=r.key, offset=r.offset, byte_size=r.byte_size) for r in regions}
        )

    async def memory_register(self, principal: Principal, request: pb.SystemSharedMemoryRegisterRequest) -> Message:
        """SystemSharedMemoryRegister."""
        self._regions.register(principal.tenant, request.name, request.key, request.offset, request.byte_size)
        return pb.SystemSharedMemoryRegisterResponse()

    async def memory_unregister(self, principal: Principal, request: pb.SystemSharedMemoryUnregisterRequest) -> Message:
        """SystemSharedMemoryUnregister."""
        self._regions.unregister(principal.tenant, request.name or None)
        return pb.SystemSharedMemoryUnregisterResponse()

    async def cuda_status(self, _principal: Principal, _request: pb.CudaSharedMemoryStatusRequest) -> Message:
        """CudaSharedMemoryStatus."""
        return pb.CudaSharedMemoryStatusResponse()

    async def cuda_unregister(self, _principal: Principal, _request: pb.CudaSharedMemoryUnregisterRequest) -> Message:
        """CudaSharedMemoryUnregister."""
        return pb.CudaSharedMemoryUnregisterResponse()


def _tensors(specs: Sequence[TensorSpec]) -> list[pb.ModelMetadataResponse.TensorMetadata]:
    kind = pb.ModelMetadataResponse.TensorMetadata
    return [kind(name=spec.name, datatype=spec.dtype.oip, shape=spec.shape) for spec in specs]


def _statistics(name: str, version: str, counted: ModelStatistics) -> pb.ModelStatistics:
    return pb.ModelStatistics(
        name=name,
        version=version,
        last_inference=counted.last_inference_ms,
        inference_count=counted.inference_count,
        execution_count=counted.execution_count,
        inference_stats=pb.InferStatistics(
            success=_duration(counted.success),
            fail=_duration(counted.fail),
            queue=_duration(counted.queue),
            compute_infer=_duration(counted.compute),
        ),
        batch_stats=[
            pb.InferBatchStatistics(batch_size=rows, compute_infer=_duration(batch))
            for rows, batch in sorted(counted.batches.items())
        ],
    )


def _duration(counted: Counted) -> pb.StatisticDuration:
    return pb.StatisticDuration(count=counted.count, ns=counted.ns)
