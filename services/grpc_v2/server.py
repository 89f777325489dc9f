# SPDX-License-Identifier: Apache-2.0
"""The gRPC server: a port of its own in the process and event loop of the HTTP edges, over the same data plane.

All handlers are generic ones behind one dictionary. Methods that are registered one by one, as generated code does it, make
``grpc.aio`` wait for a call of each of them at once, which every call of any of them then pays for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Protocol, TypeAlias

import grpc
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from core.errors import ErrorCode, InitError
from core.features import Feature
from services.grpc_v2.calls import Desk, Parts
from services.grpc_v2.health import Health
from services.grpc_v2.http2.infer import Infer
from services.grpc_v2.http2.server import listen
from services.grpc_v2.inference import Inference
from services.grpc_v2.options import GrpcOptions, channel_options, tls_files
from services.grpc_v2.protocol import open_inference_pb2 as pb
from services.grpc_v2.repository import Repository, ServerFacts
from services.grpc_v2.streams import Streams

SERVICE: Final[str] = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].full_name
HEALTH: Final[str] = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name
# The second differs from the first in nothing but its name; newer clients ask for it first.
REFLECTION: Final = ("grpc.reflection.v1alpha.ServerReflection", "grpc.reflection.v1.ServerReflection")

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class _Stoppable(Protocol):
    async def stop(self, grace: float) -> None: ...


class GrpcServer:
    """A server that listens. ``port`` is the one it listens on."""

    def __init__(self, server: _Stoppable, port: int, streams: Streams, health: Health) -> None:
        self.port = port
        self._server = server
        self._streams = streams
        self._health = health

    async def stop(self, grace_s: float) -> None:
        """Refuses new calls, lets streams end, and returns when all calls have ended or were cancelled after ``grace_s``."""
        self._health.stop()
        self._streams.stop()
        await self._server.stop(grace_s)


class _Handlers(grpc.GenericRpcHandler):
    def __init__(self, handlers: Mapping[str, _Handler]) -> None:
        self._handlers = handlers

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> _Handler | None:
        return self._handlers.get(handler_call_details.method)


async def serve(parts: Parts, options: GrpcOptions, *, version: str) -> GrpcServer:
    """Starts a server on the running event loop.

    Args:
        parts: What calls are answered with.
        options: Where it listens, and its bounds.
        version: This service's version, for its metadata.

    Raises:
        InitError: ``INIT_001`` if it cannot listen, ``INIT_002`` if its TLS files cannot be used.
    """
    desk = Desk(parts)
    inference = Inference(parts, desk)
    streams = Streams(f"/{SERVICE}/ModelStreamInfer", inference, desk, parts.limits, options)
    health = Health(parts.plane.ready, frozenset({"", SERVICE}))
    handlers = {
        **_protocol(parts, desk, inference, version),
        f"/{SERVICE}/ModelStreamInfer": grpc.stream_stream_rpc_method_handler(streams.handle),
        **_health(health),
        **(_reflection() if options.reflection else {}),
    }
    if options.engine == "http2":
        direct = {f"/{SERVICE}/ModelInfer": Infer(parts, desk, inference)}
        listener = await listen(handlers, direct, options, parts.limits)
        return GrpcServer(listener, listener.port, streams, health)
    server = grpc.aio.server(
        handlers=(_Handlers(handlers),),
        options=channel_options(options, parts.limits),
        maximum_concurrent_rpcs=options.calls,
    )
    port = _listen(server, options)
    await server.start()
    return GrpcServer(server, port, streams, health)


def _listen(server: grpc.aio.Server, options: GrpcOptions) -> int:
    tls = tls_files(options)
    try:
        if tls is None:
            return server.add_insecure_port(options.address)
        credentials = grpc.ssl_server_credentials(
            [(tls.key, tls.certificate)],
            root_certificates=tls.client_ca,
            require_client_auth=tls.client_ca is not None,
        )
        return server.add_secure_port(options.address, credentials)
    except RuntimeError:
        raise InitError(
            ErrorCode.INIT_FAILED,
            f"FUROSHIKI_GRPC__PORT: cannot listen on {options.address}; it is in use, or not an address of this machine.",
        ) from None


def _protocol(parts: Parts, desk: Desk, inference: Inference, version: str) -> dict[str, _Handler]:
    facts, repository = ServerFacts(parts, version=version), Repository(parts, desk)
    asked, memory = repository.asked, Feature.V2_SHARED_MEMORY
    answers = {
        "ServerLive": facts.live,
        "ServerReady": facts.ready,
        "ServerMetadata": facts.metadata,
        "ModelInfer": inference.infer,
        "ModelReady": asked(pb.ModelReadyRequest, repository.model_ready),
        "ModelMetadata": asked(pb.ModelMetadataRequest, repository.model_metadata),
        "ModelStatistics": asked(pb.ModelStatisticsRequest, repository.statistics, Feature.V2_STATISTICS),
        "RepositoryIndex": asked(pb.RepositoryIndexRequest, repository.index, Feature.V2_REPOSITORY),
        "RepositoryModelLoad": asked(pb.RepositoryModelLoadRequest, repository.load, Feature.V2_REPOSITORY),
        "RepositoryModelUnload": asked(pb.RepositoryModelUnloadRequest, repository.unload, Feature.V2_REPOSITORY),
        "SystemSharedMemoryStatus": asked(pb.SystemSharedMemoryStatusRequest, repository.memory_status, memory),
        "SystemSharedMemoryRegister": asked(pb.SystemSharedMemoryRegisterRequest, repository.memory_register, memory),
        "SystemSharedMemoryUnregister": asked(
            pb.SystemSharedMemoryUnregisterRequest, repository.memory_unregister, memory
        ),
        "CudaSharedMemoryStatus": asked(pb.CudaSharedMemoryStatusRequest, repository.cuda_status),
        "CudaSharedMemoryUnregister": asked(pb.CudaSharedMemoryUnregisterRequest, repository.cuda_unregister),
    }
    paths = {f"/{SERVICE}/{name}": answer for name, answer in answers.items()}
    return {path: grpc.unary_unary_rpc_method_handler(desk.unary(path, answer)) for path, answer in paths.items()}


def _health(health: Health) -> dict[str, _Handler]:
    forms = {
        "request_deserializer": health_pb2.HealthCheckRequest.FromString,
        "response_serializer": health_pb2.HealthCheckResponse.SerializeToString,
    }
    return {
        f"/{HEALTH}/Check": grpc.unary_unary_rpc_method_handler(health.check, **forms),
        f"/{HEALTH}/Watch": grpc.unary_stream_rpc_method_handler(health.watch, **forms),
    }


def _reflection() -> dict[str, _Handler]:
    servicer = reflection.aio.ReflectionServicer(service_names=(SERVICE, HEALTH, *REFLECTION))
    handler = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return {f"/{name}/ServerReflectionInfo": handler for name in REFLECTION}
