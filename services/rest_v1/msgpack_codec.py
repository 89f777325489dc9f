# SPDX-License-Identifier: Apache-2.0
"""The MessagePack form: the same fields as JSON, tensors as nested lists or as ``{"shape", "datatype", "data"}``.

``data`` is a ``bin`` in the binary form of the Open Inference Protocol: little-endian, row-major, BYTES as u32 length and
bytes. Nested lists are as strict as in JSON but may hold what MessagePack can and JSON cannot: NaN, infinities, and bytes
that are no UTF-8. Outputs are written as the inputs came. Everything that is not ``data`` counts against the limit on JSON,
because reading it holds the event loop as JSON does. No length in a body is believed before the bytes behind it were seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from core.features import Feature
from core.tensors import Array, DType, TensorSpec
from services.edge import binary_tensors
from services.edge.limits import EdgeLimits
from services.rest_v1 import msgpack_lists
from services.rest_v1.declared_tensors import from_raw
from services.rest_v1.interface import (
    Answer,
    Encoded,
    Message,
    check_beside,
    check_inputs,
    check_priority,
    check_timeout,
    malformed,
)
from services.rest_v1.msgpack_wire import bin_bytes, is_map, map_size


class RawTensor(msgspec.Struct, forbid_unknown_fields=True):
    """A tensor that says what it is."""

    shape: list[int]
    datatype: str
    data: bytes


class PackedRequest(msgspec.Struct, forbid_unknown_fields=True):
    """The body of a request. What holds lists is first skipped over, which proves its lengths, then decoded."""

    model: str
    inputs: msgspec.Raw
    version: str | int | None = None
    outputs: msgspec.Raw = msgspec.Raw()
    timeout_ms: float | None = None
    priority: int = 0


_REQUEST: Final = msgspec.msgpack.Decoder(PackedRequest)
_INPUTS: Final = msgspec.msgpack.Decoder(dict[str, msgspec.Raw])
_OUTPUTS: Final = msgspec.msgpack.Decoder(list[str] | None)
_TENSOR: Final = msgspec.msgpack.Decoder(RawTensor)
_ENCODER: Final = msgspec.msgpack.Encoder()
_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


class _ListTensor:
    __slots__ = ("_packed",)

    def __init__(self, packed: msgspec.Raw) -> None:
        self._packed = packed

    def decode(self, spec: TensorSpec, limits: EdgeLimits) -> tuple[Array, DType]:
        return msgpack_lists.decode(bytes(self._packed), spec, most_strings=limits.bytes_elements), spec.dtype


class _RawTensor:
    __slots__ = ("_tensor",)

    def __init__(self, packed: msgspec.Raw) -> None:
        self._tensor = _TENSOR.decode(packed)

    def decode(self, spec: TensorSpec, limits: EdgeLimits) -> tuple[Array, DType]:
        tensor = self._tensor
        return from_raw(tensor.datatype, tensor.shape, tensor.data, name=spec.name, limits=limits)


class MsgpackCodec:
    """``application/msgpack``."""

    feature: Feature | None = Feature.V1_MSGPACK

    def parse(self, body: bytes, limits: EdgeLimits) -> Message:
        if len(body) > limits.json_bytes:
            check_beside(len(body) - bin_bytes(body), limits, way='as {"shape", "datatype", "data"}')
        try:
            message = _REQUEST.decode(body)
            packed = _inputs(message.inputs, limits)
            outputs = _OUTPUTS.decode(message.outputs) if len(message.outputs) else None
            inputs = {name: _tensor(tensor) for name, tensor in packed.items()}
        except _UNREADABLE as error:
            raise malformed(error) from None
        return Message(
            model=message.model,
            version=None if message.version is None else str(message.version),
            inputs=inputs,
            outputs=tuple(outputs) if outputs else None,
            timeout_ms=check_timeout(message.timeout_ms),
            priority=check_priority(message.priority),
            raw=any(isinstance(tensor, _RawTensor) for tensor in inputs.values()),
        )

    def encode(self, answer: Answer, limits: EdgeLimits) -> bytes:
        response = answer.response
        outputs = {
            name: _written(array, response.dtypes[name], name, raw=answer.raw, limits=limits)
            for name, array in response.outputs.items()
        }
        return _ENCODER.encode(answer.with_outputs(outputs))

    def problem(self, error: Mapping[str, Any]) -> bytes:
        return _ENCODER.encode({"error": error})


def _inputs(packed: msgspec.Raw, limits: EdgeLimits) -> dict[str, msgspec.Raw]:
    head = bytes(memoryview(packed)[:5])
    entries = map_size(head) if is_map(head) else 0
    check_inputs(entries, entries, limits)  # before room is made for them
    inputs = _INPUTS.decode(packed)
    check_inputs(len(inputs), entries, limits)
    return inputs


def _tensor(packed: msgspec.Raw) -> Encoded:
    return _RawTensor(packed) if is_map(bytes(memoryview(packed)[:1])) else _ListTensor(packed)


def _written(array: Array, dtype: DType, name: str, *, raw: bool, limits: EdgeLimits) -> Any:
    """Datatypes that have no list form are written raw even if lists were wanted."""
    if raw or dtype not in msgpack_lists.ELEMENTS:
        return {"shape": array.shape, "datatype": dtype.oip, "data": binary_tensors.encode(array, dtype)}
    return msgpack_lists.written(array, dtype, name=name, limit=limits.json_bytes)
