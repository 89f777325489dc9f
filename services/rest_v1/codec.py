# SPDX-License-Identifier: Apache-2.0
"""Between the JSON of ``/v1/infer`` and the data plane's values.

A request names a model and gives each input as nested lists; the model's signature supplies datatype and rank, so nothing is
guessed and nothing is promoted. Unknown fields are refused: here they can only be mistakes.
"""

from __future__ import annotations

import math
from typing import Any, Final

import msgspec
import numpy as np
import orjson

from core.errors import ErrorCode, InvalidRequest, TensorError
from core.inference import InferenceRequest, InferenceResponse
from core.tensors import Array, DType, Signature
from services.edge import json_tensors
from services.edge.limits import EdgeLimits


class Message(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request."""

    model: str
    inputs: dict[str, msgspec.Raw]
    version: str | int | None = None
    outputs: list[str] | None = None
    timeout_ms: float | None = None

    @property
    def version_text(self) -> str | None:
        return None if self.version is None else str(self.version)

    def deadline(self, arrived: float) -> float | None:
        """When the caller's patience ends, on the clock of ``arrived``; None if it set no bound."""
        return None if self.timeout_ms is None else arrived + self.timeout_ms / 1e3


_DECODER: Final = msgspec.json.Decoder(Message)


def parse(body: bytes, limits: EdgeLimits) -> Message:
    """Parses a body without touching its tensors.

    Raises:
        InvalidRequest: ``VALID_001`` if it is not such a message, ``VALID_003`` beyond a limit,
            ``VALID_002`` on a bad timeout.
    """
    if len(body) > limits.json_bytes:
        raise json_tensors.too_large(len(body), limits.json_bytes)
    try:
        message = _DECODER.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest(ErrorCode.MALFORMED, f"The request is not valid: {error}.") from None
    timeout = message.timeout_ms
    if timeout is not None and not (math.isfinite(timeout) and timeout > 0):
        raise InvalidRequest(ErrorCode.INVALID_FIELD, f"timeout_ms is {timeout}; expected milliseconds above 0.")
    return message


def to_request(
    message: Message,
    signature: Signature,
    *,
    limits: EdgeLimits,
    tenant: str,
    request_id: str,
    deadline: float | None,
) -> InferenceRequest:
    """Decodes the tensors as the model's signature wants them.

    Raises:
        InvalidRequest: ``VALID_003`` beyond a limit.
        TensorError: ``TENSOR_004`` on an input the model does not have; ``TENSOR_005`` on data of another datatype or depth.
    """
    specs = {spec.name: spec for spec in signature.inputs}
    inputs: dict[str, Array] = {}
    dtypes: dict[str, DType] = {}
    for name, raw in message.inputs.items():
        spec = specs.get(name)
        if spec is None:
            raise TensorError(
                ErrorCode.TENSOR_UNEXPECTED,
                f"{message.model} has no input {name[:80]!r}; it has {', '.join(sorted(specs))}.",
                details={"input": name[:80]},
            )
        inputs[name] = json_tensors.decode(
            raw, spec.dtype, name=name, rank=max(len(spec.shape), 1), most_strings=limits.bytes_elements
        )
        dtypes[name] = spec.dtype
    return InferenceRequest(
        tenant=tenant,
        model=message.model,
        version=message.version_text,
        request_id=request_id,
        inputs=inputs,
        dtypes=dtypes,
        outputs=tuple(message.outputs) if message.outputs else None,
        deadline=deadline,
    )


def encode(response: InferenceResponse, *, limits: EdgeLimits, request_id: str, seconds: float) -> bytes:
    """Encodes a result: each output as nested lists.

    Raises:
        TensorError: ``TENSOR_002`` or ``TENSOR_005`` if JSON cannot carry an output.
    """
    outputs: dict[str, Any] = {}
    for name, array in response.outputs.items():
        values = json_tensors.encodable(array, response.dtypes[name], name=name, limit=limits.json_bytes)
        outputs[name] = values if array.ndim == 1 else _nest(values, array)
    return orjson.dumps(
        {
            "model": response.model,
            "version": response.version,
            "digest": response.digest,
            "outputs": outputs,
            "request_id": request_id,
            "latency_ms": round(seconds * 1000, 3),
        },
        option=orjson.OPT_SERIALIZE_NUMPY,
    )


def _nest(values: Any, array: Array) -> Any:
    if isinstance(values, list):
        return np.array(values, dtype=object).reshape(array.shape).tolist()
    return values.reshape(array.shape) if array.ndim else values[0]
