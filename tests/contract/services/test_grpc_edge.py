# SPDX-License-Identifier: Apache-2.0
"""The contract of all edges over gRPC: as unary calls with typed and with raw contents, and as streams."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import ClassVar

import grpc
import numpy as np

from core.errors import ErrorCode
from core.tensors import dtype_from_oip
from services.edge import binary_tensors
from services.grpc_v2.codec import DIGEST_KEY
from services.grpc_v2.errors import ERROR_KEY, grpc_status
from services.grpc_v2.options import GrpcOptions
from services.grpc_v2.protocol import open_inference_pb2 as pb
from services.grpc_v2.testing import listening, outputs_of, stub
from services.inference.app import Parts
from services.testing_contract import OK, Answer, CannotAsk, DeclaringEdgeContract, Question, Tensor


class GrpcClient:
    """Asks over gRPC, and holds every answer to the one table of statuses."""

    def __init__(self, channel: grpc.aio.Channel, *, raw: bool, stream: bool) -> None:
        self._stub = stub(channel)
        self._raw = raw
        self._stream = stream

    async def ask(self, question: Question) -> Answer:
        named = {"x-api-key": question.credential, "x-request-id": question.request_id}
        metadata = tuple((name, value) for name, value in named.items() if value is not None)
        request = write(question, raw=self._raw)
        call = (
            self._stub.ModelStreamInfer(iter([request]), metadata=metadata)
            if self._stream
            else self._stub.ModelInfer(request, metadata=metadata)
        )
        try:
            answer = await call.read() if self._stream else await call
            if answer is grpc.aio.EOF:
                await call
        except grpc.aio.AioRpcError as error:
            return refusal(error)
        trailing = dict(await call.trailing_metadata())
        if self._stream:
            if answer.error_message:
                code = answer.infer_response.parameters[ERROR_KEY].string_param
                return Answer(code=ErrorCode(code), text=answer.error_message, request_id="in the access log")
            answer = answer.infer_response
        told = {name: str(trailing[name]) for name in ("deprecation", "sunset") if name in trailing}
        return read(answer, request_id=str(trailing.get("x-request-id", "")), told=told)


def refusal(error: grpc.aio.AioRpcError) -> Answer:
    trailing = {key: str(value) for key, value in error.trailing_metadata() or ()}
    code = ErrorCode(trailing[ERROR_KEY])
    assert error.code() is grpc_status(code)
    text = f"{error.details()} {trailing}"
    return Answer(code=code, text=text, request_id=trailing["x-request-id"])


def read(answer: pb.ModelInferResponse, *, request_id: str, told: Mapping[str, str]) -> Answer:
    return Answer(
        code=OK,
        outputs=outputs_of(answer),
        version=answer.model_version,
        digest=answer.parameters[DIGEST_KEY].string_param,
        request_id=request_id,
        told=told,
    )


def write(question: Question, *, raw: bool) -> pb.ModelInferRequest:
    message = pb.ModelInferRequest(model_name=question.model, model_version=question.version or "")
    for key, value in (("timeout", question.timeout_us), ("priority", question.priority)):
        if value is not None:
            message.parameters[key].int64_param = value
    for name in question.outputs or ():
        message.outputs.add(name=name)
    for tensor in question.inputs:
        added = message.inputs.add(name=tensor.name, datatype=tensor.datatype, shape=tensor.declared_shape)
        if raw:
            message.raw_input_contents.append(raw_data(tensor))
        else:
            fill(added.contents, tensor)
    return message


def raw_data(tensor: Tensor) -> bytes:
    if tensor.datatype == "FP31":
        return np.array(tensor.flat, dtype="<f4").tobytes()
    dtype = dtype_from_oip(tensor.datatype)
    array = np.empty(len(tensor.flat), dtype=dtype.numpy)
    array[:] = tensor.flat
    return binary_tensors.encode(array, dtype)


def fill(contents: pb.InferTensorContents, tensor: Tensor) -> None:
    contents.SetInParent()
    field = "fp32_contents" if tensor.datatype == "FP31" else dtype_from_oip(tensor.datatype).grpc_field
    if field is None:
        raise CannotAsk(tensor.datatype)
    getattr(contents, field).extend(tensor.flat)


class GrpcEdgeContract(DeclaringEdgeContract):
    """The contract over gRPC."""

    raw: ClassVar[bool]
    stream: ClassVar[bool] = False
    options: ClassVar[GrpcOptions] = GrpcOptions()

    @asynccontextmanager
    async def connect(self, made: Parts) -> AsyncIterator[GrpcClient]:
        async with (
            listening(made, self.options) as server,
            grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
        ):
            try:
                yield GrpcClient(channel, raw=self.raw, stream=self.stream)
            finally:
                await made.plane.close()


class TestRaw(GrpcEdgeContract):
    raw = True


class TestTyped(GrpcEdgeContract):
    raw = False
    left_out = frozenset({"FP16", "BF16"})


class TestStream(GrpcEdgeContract):
    raw = True
    stream = True
    left_out = frozenset({"deprecation"})  # metadata is of a whole stream, whose requests may name many versions


class TestRawOnTheCore(TestRaw):
    options = GrpcOptions(engine="grpc")


class TestStreamOnTheCore(TestStream):
    options = GrpcOptions(engine="grpc")
