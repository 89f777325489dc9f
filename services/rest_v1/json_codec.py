# SPDX-License-Identifier: Apache-2.0
"""The JSON form: inputs as nested lists whose datatype and rank the model's signature supplies.

Unknown fields are refused: here they can only be mistakes. So is an input that is given twice, of which JSON parsers take
the last without a word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

import msgspec
import numpy as np
import orjson

from core.errors import ErrorCode, TensorError
from core.features import Feature
from core.tensors import Array, DType, TensorSpec
from services.edge import json_tensors
from services.edge.limits import EdgeLimits
from services.rest_v1.interface import Answer, Message, check_inputs, check_priority, check_timeout, malformed


class JsonRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request."""

    model: str
    inputs: msgspec.Raw
    version: str | int | None = None
    outputs: list[str] | None = None
    timeout_ms: float | None = None
    priority: int = 0


_REQUEST: Final = msgspec.json.Decoder(JsonRequest)
_INPUTS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_NAME: Final = msgspec.json.Decoder(str)
_OPENING: Final = re.compile(rb"\s*\{\s*")
_KEY: Final = re.compile(rb'("(?:[^"\\]|\\.)*")\s*:\s*')
_AFTER: Final = re.compile(rb"\s*[,}]\s*")


class _JsonTensor:
    __slots__ = ("_text",)

    def __init__(self, text: msgspec.Raw) -> None:
        self._text = text

    def decode(self, spec: TensorSpec, limits: EdgeLimits) -> tuple[Array, DType]:
        rank, text = len(spec.shape), self._text
        if not rank:
            text = msgspec.Raw(b"[%b]" % bytes(text))
        array = json_tensors.decode(
            text, spec.dtype, name=spec.name, rank=max(rank, 1), most_strings=limits.bytes_elements
        )
        return (array if rank else array.reshape(())), spec.dtype


class JsonCodec:
    """``application/json``."""

    feature: Feature | None = None

    def parse(self, body: bytes, limits: EdgeLimits) -> Message:
        if len(body) > limits.json_bytes:
            raise json_tensors.too_large(len(body), limits.json_bytes)
        try:
            message = _REQUEST.decode(body)
            inputs = _INPUTS.decode(message.inputs)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
            raise malformed(error) from None
        check_inputs(len(inputs), _entries(bytes(message.inputs), inputs, most=limits.tensors), limits)
        return Message(
            model=message.model,
            version=None if message.version is None else str(message.version),
            inputs={name: _JsonTensor(text) for name, text in inputs.items()},
            outputs=tuple(message.outputs) if message.outputs else None,
            timeout_ms=check_timeout(message.timeout_ms),
            priority=check_priority(message.priority),
        )

    def encode(self, answer: Answer, limits: EdgeLimits) -> bytes:
        response = answer.response
        outputs: dict[str, Any] = {}
        for name, array in response.outputs.items():
            values = json_tensors.encodable(array, response.dtypes[name], name=name, limit=limits.json_bytes)
            outputs[name] = values if array.ndim == 1 else _nest(values, array)
        return orjson.dumps(answer.with_outputs(outputs), option=orjson.OPT_SERIALIZE_NUMPY)

    def problem(self, error: Mapping[str, Any]) -> bytes:
        return orjson.dumps({"error": error})


def _entries(text: bytes, inputs: Mapping[str, msgspec.Raw], *, most: int) -> int:
    """How many inputs ``text`` holds, of which ``inputs`` are those that the parser kept; not counted beyond ``most`` + 1.

    Raises:
        TensorError: ``TENSOR_004`` if another value stands where one of them should.
    """
    if not 0 < len(inputs) <= most:
        return len(inputs)
    count, opening = 0, _OPENING.match(text)
    position = opening.end() if opening else 0
    while count <= most and (key := _KEY.match(text, position)):
        value = bytes(inputs[_NAME.decode(key[1])])
        after = _AFTER.match(text, key.end() + len(value)) if text.startswith(value, key.end()) else None
        if after is None:
            raise TensorError(ErrorCode.TENSOR_UNEXPECTED, "An input is given twice; send each name once.")
        count, position = count + 1, after.end()
    return count


def _nest(values: Any, array: Array) -> Any:
    if isinstance(values, list):
        return np.array(values, dtype=object).reshape(array.shape).tolist()
    return values.reshape(array.shape) if array.ndim else values[0]
