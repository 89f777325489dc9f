# SPDX-License-Identifier: Apache-2.0
"""Between the protocol's JSON-and-binary messages and the data plane's values.

Follows the Open Inference Protocol v2 and its binary tensor data extension. Fields the protocol does not know are ignored,
as its reference servers do.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
import orjson

from core.errors import ErrorCode, InvalidRequest, TensorError
from core.inference import InferenceRequest, InferenceResponse
from core.tensors import Array, DType, dtype_from_oip, element_count
from services.edge import json_tensors
from services.edge.limits import EdgeLimits
from services.rest_v2 import binary

_NOTHING: Final = msgspec.Raw()


class _Input(msgspec.Struct):
    name: str
    datatype: str
    shape: list[int]
    parameters: dict[str, Any] | None = None
    data: msgspec.Raw = _NOTHING


class _Output(msgspec.Struct):
    name: str
    parameters: dict[str, Any] | None = None


class _Request(msgspec.Struct):
    inputs: list[_Input]
    id: str = ""
    parameters: dict[str, Any] | None = None
    outputs: list[_Output] | None = None


_DECODER: Final = msgspec.json.Decoder(_Request)


class Wanted(msgspec.Struct):
    """How the answer must be written."""

    id: str  # echoed if not empty
    binary_default: bool
    binary: dict[str, bool]  # by output name, where the request says so

    def is_binary(self, name: str) -> bool:
        return self.binary.get(name, self.binary_default)


def decode(
    body: bytes,
    header_length: bytes | None,
    *,
    limits: EdgeLimits,
    tenant: str,
    model: str,
    version: str | None,
    request_id: str,
    now: float,
) -> tuple[InferenceRequest, Wanted]:
    """Decodes an infer request.

    Args:
        body: The whole body: JSON, then the binary tensors in the order of ``inputs``.
        header_length: ``Inference-Header-Content-Length`` as received: bytes of the JSON part; None: all of it.
        limits: What is accepted.
        tenant: Whose request it is.
        model: Model name of the route.
        version: Version of the route, if it has one.
        request_id: The id of the exchange.
        now: The event loop's time, the origin of the ``timeout`` parameter.

    Raises:
        InvalidRequest: ``VALID_*`` if the message is malformed or beyond a limit.
        TensorError: ``TENSOR_*`` if a tensor contradicts its own declaration.
    """
    json_size = _json_size(header_length, len(body), limits)
    message = _parse(memoryview(body)[:json_size])
    if len(message.inputs) > limits.tensors:
        raise InvalidRequest(
            ErrorCode.TOO_LARGE, f"The request has {len(message.inputs)} inputs; the limit is {limits.tensors}."
        )
    inputs: dict[str, Array] = {}
    dtypes: dict[str, DType] = {}
    offset = json_size
    strings = 0
    for tensor in message.inputs:
        if tensor.name in inputs:
            raise TensorError(ErrorCode.TENSOR_UNEXPECTED, f"Input {tensor.name[:80]!r} is given twice.")
        dtype = dtypes[tensor.name] = dtype_from_oip(tensor.datatype)
        count = _count(tensor, limits)
        if dtype is DType.BYTES:
            strings += count
            json_tensors.check_strings(strings, limits.bytes_elements)
        inputs[tensor.name], offset = _tensor(tensor, dtype, count, body, offset=offset, limits=limits)
    if offset != len(body):
        raise InvalidRequest(
            ErrorCode.LENGTH_MISMATCH, f"{len(body) - offset} bytes follow the last tensor; expected none."
        )
    request = InferenceRequest(
        tenant=tenant,
        model=model,
        version=version,
        request_id=request_id,
        inputs=inputs,
        dtypes=dtypes,
        outputs=tuple(output.name for output in message.outputs) if message.outputs else None,
        deadline=_deadline(message.parameters, now),
    )
    return request, _wanted(message)


def _json_size(header_length: bytes | None, body_size: int, limits: EdgeLimits) -> int:
    if header_length is None:
        size = body_size
    elif len(header_length) < 20 and header_length.isdigit() and 0 < int(header_length) <= body_size:
        size = int(header_length)
    else:
        raise InvalidRequest(
            ErrorCode.LENGTH_MISMATCH,
            f"Inference-Header-Content-Length is {header_length[:20]!r}; expected 1 to {body_size}, the body's size.",
        )
    if size > limits.json_bytes:
        raise json_tensors.too_large(size, limits.json_bytes)
    return size


def _parse(text: memoryview) -> _Request:
    try:
        return _DECODER.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(ErrorCode.MALFORMED, f"The request is not a valid infer message: {error}.") from None


def _count(tensor: _Input, limits: EdgeLimits) -> int:
    name, shape = tensor.name, tensor.shape
    if len(shape) > limits.rank:
        raise TensorError(ErrorCode.TENSOR_SHAPE, f"Tensor {name[:80]!r} has rank {len(shape)}; limit {limits.rank}.")
    return element_count(shape, name=name, limit=limits.tensor_elements)


def _tensor(
    tensor: _Input, dtype: DType, count: int, body: bytes, *, offset: int, limits: EdgeLimits
) -> tuple[Array, int]:
    name, shape = tensor.name, tensor.shape
    size = (tensor.parameters or {}).get("binary_data_size")
    if size is None:
        return _json_tensor(tensor, dtype, count, limits), offset
    if tensor.data is not _NOTHING and len(tensor.data):
        raise TensorError(ErrorCode.TENSOR_DATA, f"Tensor {name!r} has both 'data' and 'binary_data_size'.")
    if type(size) is not int or size < 0 or offset + size > len(body):
        raise InvalidRequest(
            ErrorCode.LENGTH_MISMATCH,
            f"Tensor {name!r} declares {str(size)[:20]} binary bytes; {len(body) - offset} are left in the body.",
        )
    return binary.decode(body, offset, size, dtype=dtype, shape=shape, count=count, name=name), offset + size


def _json_tensor(tensor: _Input, dtype: DType, count: int, limits: EdgeLimits) -> Array:
    name, shape = tensor.name, tensor.shape
    if not len(tensor.data):
        raise TensorError(ErrorCode.TENSOR_DATA, f"Tensor {name!r} has neither 'data' nor 'binary_data_size'.")
    rank = max(len(shape), 1)
    array = json_tensors.decode(tensor.data, dtype, name=name, rank=rank, most_strings=limits.bytes_elements)
    nested = array.ndim > 1
    if array.size != count or (nested and list(array.shape) != shape):
        raise TensorError(
            ErrorCode.TENSOR_SHAPE,
            f"Data of tensor {name!r} has shape {list(array.shape)}; its 'shape' says {shape}.",
            details={"tensor": name},
        )
    return array.reshape(shape)


def _deadline(parameters: Mapping[str, Any] | None, now: float) -> float | None:
    timeout = (parameters or {}).get("timeout", 0)
    if type(timeout) is not int or not 0 <= timeout < 2**63:
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD, f"Parameter 'timeout' is {str(timeout)[:40]!r}; expected microseconds >= 0."
        )
    return now + timeout / 1e6 if timeout else None


def _wanted(message: _Request) -> Wanted:
    default = (message.parameters or {}).get("binary_data_output") is True
    chosen = {
        output.name: output.parameters["binary_data"] is True
        for output in message.outputs or ()
        if output.parameters and "binary_data" in output.parameters
    }
    return Wanted(message.id, default, chosen)


def encode(response: InferenceResponse, wanted: Wanted, limits: EdgeLimits) -> tuple[bytes, int | None]:
    """Encodes a result.

    Returns:
        The body, and the length of its JSON part if binary tensors follow it (None: all JSON).

    Raises:
        TensorError: ``TENSOR_002`` or ``TENSOR_005`` if JSON cannot carry an output that was not asked for in binary form.
    """
    tail: list[bytes] = []
    outputs: list[dict[str, Any]] = []
    for name, array in response.outputs.items():
        dtype = response.dtypes[name]
        tensor: dict[str, Any] = {"name": name, "datatype": dtype.oip, "shape": array.shape}
        if wanted.is_binary(name):
            data = binary.encode(array, dtype)
            tensor["parameters"] = {"binary_data_size": len(data)}
            tail.append(data)
        else:
            tensor["data"] = json_tensors.encodable(array, dtype, name=name, limit=limits.json_bytes)
        outputs.append(tensor)
    message: dict[str, Any] = {"model_name": response.model, "model_version": response.version, "outputs": outputs}
    if wanted.id:
        message["id"] = wanted.id
    head = orjson.dumps(message, option=orjson.OPT_SERIALIZE_NUMPY)
    return (head, None) if not tail else (b"".join((head, *tail)), len(head))
