# SPDX-License-Identifier: Apache-2.0
"""A server on a free loopback port, and a client of everything it offers; for tests and measurements."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from math import prod
from types import SimpleNamespace
from typing import Any

import grpc
from google.protobuf.descriptor import ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from core.tensors import Array, dtype_from_numpy, dtype_from_oip
from services.edge import binary_tensors
from services.grpc_v2.calls import Parts
from services.grpc_v2.options import GrpcOptions
from services.grpc_v2.protocol import open_inference_pb2 as pb
from services.grpc_v2.server import GrpcServer, serve

INFERENCE: ServiceDescriptor = pb.DESCRIPTOR.services_by_name["GRPCInferenceService"]


@asynccontextmanager
async def listening(parts: Parts, options: GrpcOptions | None = None) -> AsyncIterator[GrpcServer]:
    """Serves on this event loop; port 0 of the options is a free one. The parts stay open."""
    server = await serve(parts, options or GrpcOptions(), version="0")
    try:
        yield server
    finally:
        await server.stop(0)


def stub(channel: grpc.Channel | grpc.aio.Channel, service: ServiceDescriptor = INFERENCE) -> Any:
    """The methods of a service by name, as generated code would offer them.

    Args:
        channel: Either kind; decides whether calls are awaited.
        service: Its descriptor.
    """
    methods: dict[str, Any] = {}
    for method in service.methods:
        form = f"{_form(method.client_streaming)}_{_form(method.server_streaming)}"
        methods[method.name] = getattr(channel, form)(
            f"/{service.full_name}/{method.name}",
            request_serializer=GetMessageClass(method.input_type).SerializeToString,
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )
    return SimpleNamespace(**methods)


def _form(streaming: bool) -> str:
    return "stream" if streaming else "unary"


def infer_request(model: str, inputs: Mapping[str, Array], *, id: str = "", version: str = "") -> pb.ModelInferRequest:  # noqa: A002 -- the protocol's name
    """An infer request with raw contents."""
    request = pb.ModelInferRequest(model_name=model, model_version=version, id=id)
    for name, array in inputs.items():
        dtype = dtype_from_numpy(array.dtype)
        request.inputs.add(name=name, datatype=dtype.oip, shape=array.shape)
        request.raw_input_contents.append(binary_tensors.encode(array, dtype))
    return request


def outputs_of(response: pb.ModelInferResponse) -> dict[str, Array]:
    """The raw outputs of an answer."""
    found: dict[str, Array] = {}
    for output, raw in zip(response.outputs, response.raw_output_contents, strict=True):
        shape = list(output.shape)
        dtype = dtype_from_oip(output.datatype)
        found[output.name] = binary_tensors.decode(
            raw, 0, len(raw), dtype=dtype, shape=shape, count=prod(shape), name=output.name
        )
    return found
