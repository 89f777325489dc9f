# SPDX-License-Identifier: Apache-2.0
"""The precision of an ONNX model's numbers, read from its weights and operators.

The session does not tell, so the file is read as far as needed: ``ModelProto.graph.node.op_type`` and
``GraphProto.initializer.{dims, data_type}`` of onnx.proto3, over the protobuf wire format
(https://protobuf.dev/programming-guides/encoding/). The runtime has accepted the file before.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Final, TypeAlias

Field: TypeAlias = tuple[int, int | memoryview]

_GRAPH: Final = 7  # of ModelProto
_NODE, _INITIALIZER = 1, 5  # of GraphProto
_OP_TYPE: Final = 4  # of NodeProto
_DIMS, _DATA_TYPE = 1, 2  # of TensorProto
_FLOATS: Final = {1: "fp32", 10: "fp16", 11: "fp64", 16: "bf16"}  # TensorProto.DataType
_DYNAMIC: Final = frozenset({b"DynamicQuantizeLinear", b"DynamicQuantizeMatMul", b"DynamicQuantizeLSTM"})
_STATIC: Final = frozenset({b"QuantizeLinear", b"QLinearConv", b"QLinearMatMul"})


def precision_of(model: bytes) -> str | None:
    """The precision of a model file, as in the name of a variant; None if its weights do not tell."""
    try:
        return _precision(memoryview(model))
    except (ValueError, IndexError):
        return None


def _precision(model: memoryview) -> str | None:
    operators: set[bytes] = set()
    weights: Counter[int] = Counter()
    for graph in _messages(model, _GRAPH):
        for number, value in _fields(graph):
            if isinstance(value, memoryview) and number == _NODE:
                operators.update(bytes(name) for name in _messages(value, _OP_TYPE))
            elif isinstance(value, memoryview) and number == _INITIALIZER:
                dtype, elements = _tensor(value)
                weights[dtype] += elements
    if operators & _DYNAMIC:
        return "int8dyn"
    if operators & _STATIC:
        return "int8"
    floats = [(count, _FLOATS[dtype]) for dtype, count in weights.items() if dtype in _FLOATS]
    return max(floats)[1] if floats else None


def _tensor(message: memoryview) -> tuple[int, int]:
    dtype, dims = 0, [1]
    for number, value in _fields(message):
        if number == _DIMS:
            dims += [value] if isinstance(value, int) else _packed(value)
        elif number == _DATA_TYPE and isinstance(value, int):
            dtype = value
    return dtype, math.prod(dims)


def _messages(message: memoryview, wanted: int) -> Iterator[memoryview]:
    for number, value in _fields(message):
        if number == wanted and isinstance(value, memoryview):
            yield value


def _fields(message: memoryview) -> Iterator[Field]:
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        kind = key & 7
        if kind == 0:
            value, at = _varint(message, at)
            yield key >> 3, value
        elif kind == 2:
            size, at = _varint(message, at)
            if at + size > len(message):
                raise ValueError("a field ends behind its message")
            yield key >> 3, message[at : at + size]
            at += size
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        else:
            raise ValueError("a group, which proto3 does not have")


def _packed(message: memoryview) -> list[int]:
    values, at = [], 0
    while at < len(message):
        value, at = _varint(message, at)
        values.append(value)
    return values


def _varint(message: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
        if shift > 63:
            raise ValueError("a number of more than 64 bits")
