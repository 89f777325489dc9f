# SPDX-License-Identifier: Apache-2.0
"""The Protobuf form, ``furoshiki.v1.InferRequest`` and ``InferResponse`` of ``furoshiki_v1.proto``.

Each tensor declares datatype and shape; its elements are in ``raw`` or in the datatype's contents field, never in both.
Outputs are written as the inputs came. Everything that is not ``raw`` counts against the limit on JSON. Unknown fields are
ignored, as Protobuf does, and counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import orjson
from google.protobuf.message import DecodeError

from core.errors import ErrorCode, InvalidRequest, TensorError
from core.features import Feature
from core.numbers import exact_array
from core.tensors import Array, DType, TensorSpec
from services.edge import binary_tensors
from services.edge.limits import EdgeLimits
from services.rest_v1.declared_tensors import bad_data, declared, from_raw
from services.rest_v1.furoshiki_v1_pb2 import Error, InferRequest, InferResponse, Tensor
from services.rest_v1.interface import (
    Answer,
    Message,
    check_beside,
    check_inputs,
    check_priority,
    check_timeout,
    malformed,
)
from services.rest_v1.protobuf_wire import Census, TooManyFields, Unreadable

_FIELDS_BESIDE_STRINGS: Final = 4096  # BYTES elements are fields of their own; everything else needs far fewer
_DECLARATION: Final = {"datatype", "shape"}


class _Tensor:
    __slots__ = ("_tensor",)

    def __init__(self, tensor: Tensor) -> None:
        self._tensor = tensor

    def decode(self, spec: TensorSpec, limits: EdgeLimits) -> tuple[Array, DType]:
        tensor, name = self._tensor, spec.name
        shape = tuple(tensor.shape)
        fields = {field.name for field, _ in tensor.ListFields()} - _DECLARATION
        if fields == {"raw"}:
            return from_raw(tensor.datatype, shape, tensor.raw, name=name, limits=limits)
        dtype, count = declared(tensor.datatype, shape, name=name, limits=limits)
        if fields - {dtype.grpc_field}:
            raise _wrong_fields(name, dtype, fields)
        return _from_contents(tensor, dtype, count, name).reshape(shape), dtype


class ProtobufCodec:
    """``application/x-protobuf``."""

    feature: Feature | None = Feature.V1_PROTOBUF

    def parse(self, body: bytes, limits: EdgeLimits) -> Message:
        inputs = _check_size(body, limits)
        try:
            message = InferRequest.FromString(body)
        except (DecodeError, RecursionError) as error:
            raise malformed(error) from None
        check_inputs(len(message.inputs), inputs, limits)
        if not message.model:
            raise InvalidRequest(ErrorCode.MALFORMED, "The request names no model.")
        return Message(
            model=message.model,
            version=message.version or None,
            inputs={name: _Tensor(tensor) for name, tensor in message.inputs.items()},
            outputs=tuple(message.outputs) or None,
            timeout_ms=check_timeout(message.timeout_ms if message.HasField("timeout_ms") else None),
            priority=check_priority(message.priority),
            raw=any(tensor.raw for tensor in message.inputs.values()),
        )

    def encode(self, answer: Answer, limits: EdgeLimits) -> bytes:
        response = answer.response
        message = InferResponse(
            model=response.model,
            version=response.version,
            digest=response.digest,
            request_id=answer.request_id,
            latency_ms=answer.latency_ms,
        )
        for name, array in response.outputs.items():
            _write(message.outputs[name], array, response.dtypes[name], name, raw=answer.raw, limits=limits)
        return message.SerializeToString()

    def problem(self, error: Mapping[str, Any]) -> bytes:
        told = {name: value for name, value in error.items() if name != "details"}
        return Error(**told, details_json=orjson.dumps(error["details"]).decode()).SerializeToString()


def _check_size(body: bytes, limits: EdgeLimits) -> int:
    """The number of inputs, after everything but their contents was found to be of bearable size."""
    most = limits.bytes_elements + _FIELDS_BESIDE_STRINGS
    try:
        found = Census(body, most_fields=most)
    except Unreadable as error:
        raise malformed(error) from None
    except TooManyFields:
        raise InvalidRequest(
            ErrorCode.TOO_LARGE, f"The request has more than {most} fields; send numbers packed or raw."
        ) from None
    check_beside(len(body) - found.raw_bytes, limits, way="in the field 'raw'")
    check_inputs(found.inputs, found.inputs, limits)
    return found.inputs


def _wrong_fields(name: str, dtype: DType, fields: set[str]) -> TensorError:
    if dtype.grpc_field is None:
        return TensorError(
            ErrorCode.TENSOR_DTYPE,
            f"Tensor {name!r}: {dtype.oip} has no contents field; send it in 'raw'.",
            details={"tensor": name},
        )
    wanted = f"'raw' or '{dtype.grpc_field}'"
    return bad_data(name, f"{dtype.oip} is given in {', '.join(sorted(fields))}; expected either {wanted}")


def _from_contents(tensor: Tensor, dtype: DType, count: int, name: str) -> Array:
    values = getattr(tensor, dtype.grpc_field) if dtype.grpc_field else ()
    if len(values) != count:
        raise TensorError(
            ErrorCode.TENSOR_SHAPE,
            f"Data of tensor {name!r} has {len(values)} elements; its 'shape' says {list(tensor.shape)}.",
            details={"tensor": name},
        )
    if dtype is DType.BYTES:
        elements = np.empty(count, dtype=object)
        elements[:] = list(values)
        return elements
    try:
        return exact_array(list(values), dtype.numpy)
    except OverflowError as error:
        raise bad_data(name, str(error)) from None


def _write(tensor: Tensor, array: Array, dtype: DType, name: str, *, raw: bool, limits: EdgeLimits) -> None:
    """Datatypes that have no contents field are written raw even if contents were wanted."""
    tensor.datatype = dtype.oip
    tensor.shape.extend(array.shape)
    if raw or dtype.grpc_field is None:
        tensor.raw = binary_tensors.encode(array, dtype)
        return
    if array.nbytes > limits.json_bytes:
        raise InvalidRequest(
            ErrorCode.TOO_LARGE,
            f"Output {name!r} has {array.nbytes} bytes; as contents at most {limits.json_bytes} are sent. Send inputs raw to "
            "get outputs raw.",
            details={"output": name, "limit": limits.json_bytes},
        )
    values = array.ravel().tolist()
    if dtype is DType.BYTES:
        values = [value.encode() if isinstance(value, str) else value for value in values]
    getattr(tensor, dtype.grpc_field).extend(values)
