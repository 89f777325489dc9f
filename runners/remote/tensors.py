# SPDX-License-Identifier: Apache-2.0
"""Tensors as bytes and back: ``unpack(specs, shapes, payload) == arrays`` for what ``pack(specs, arrays)`` gave.

Both ends know the model's signature, so a tensor is described by its shape alone. Numbers travel as the array's own
little-endian bytes; BYTES elements as one MessagePack array behind its length (u64). What arrives is held against the
signature again, before anything refers to it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from core.tensors import Array, DType, Shape, TensorSpec, fits
from runners.remote.framing import PADDING, Buffer, ProtocolError

_COPIED_BELOW: Final = 16 * 2**10  # bytes; a larger array is viewed until it is written
_LENGTH: Final = struct.Struct("<Q")
_BYTES: Final = DType.BYTES
_decode: Final = msgspec.msgpack.Decoder(list[Any]).decode
_encode: Final = msgspec.msgpack.encode


class Packed(msgspec.Struct, gc=False):
    """Tensors ready to be sent."""

    shapes: list[Shape]
    parts: list[Buffer]  # of the payload
    size: int  # of the payload


def pack(specs: Iterable[TensorSpec], arrays: Mapping[str, Array]) -> Packed:
    """Flattens ``arrays`` in the order of ``specs``; they must not change until they were sent.

    Raises:
        KeyError, TypeError: The arrays are not those of ``specs``.
    """
    shapes: list[Shape] = []
    parts: list[Buffer] = []
    size = 0
    for spec in specs:
        array = arrays[spec.name]
        data = _flat(array, spec)
        length = len(data)
        shapes.append(array.shape)
        parts.append(data)
        size += length
        if length % 8:
            parts.append(PADDING[-length % 8])
            size += -length % 8
    return Packed(shapes, parts, size)


def unpack(specs: Sequence[TensorSpec], shapes: Sequence[Shape], payload: memoryview) -> dict[str, Array]:
    """The tensors of a payload, as views of it.

    Raises:
        ProtocolError: They are not tensors of ``specs``, or not in the payload.
    """
    arrays: dict[str, Array] = {}
    offset = 0
    try:
        for spec, shape in zip(specs, shapes, strict=True):
            if not fits(shape, spec.shape):
                raise ProtocolError(f"tensor {spec.name!r} has shape {list(shape)}; expected {list(spec.shape)}")
            if spec.dtype is _BYTES:
                array, size = _elements(shape, payload, offset)
            else:
                array = np.ndarray(shape, spec.dtype.numpy, payload, offset)  # checks that it is inside
                size = array.nbytes
            arrays[spec.name] = array
            offset += size + -size % 8
    except (TypeError, ValueError, struct.error) as error:
        raise ProtocolError(f"tensors of shapes {shapes} in {len(payload)} bytes: {error}") from None
    return arrays


def _flat(array: Array, spec: TensorSpec) -> Buffer:
    if spec.dtype is _BYTES:
        data = _encode(array.ravel().tolist())
        return _LENGTH.pack(len(data)) + data
    if array.dtype != spec.dtype.numpy:
        raise TypeError(f"tensor {spec.name!r} is {array.dtype}; its signature says {spec.dtype.oip}")
    if array.nbytes < _COPIED_BELOW:
        return array.tobytes()
    return array.reshape(-1).view(np.uint8).data


def _elements(shape: Shape, payload: memoryview, offset: int) -> tuple[Array, int]:
    (length,) = _LENGTH.unpack_from(payload, offset)
    begin = offset + _LENGTH.size
    elements = _decode(payload[begin : begin + length])  # a msgspec.DecodeError is a ValueError
    if not set(map(type, elements)) <= {bytes, str} or math.prod(shape) != len(elements):
        raise ValueError(f"{len(elements)} elements, or not strings")
    array = np.empty(len(elements), dtype=object)
    array[:] = elements
    return array.reshape(shape), _LENGTH.size + length
