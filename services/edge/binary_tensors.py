# SPDX-License-Identifier: Apache-2.0
"""Tensors in binary form: little-endian, row-major, BYTES as (u32 length, bytes) per element.

Decoded numeric tensors are read-only views of the body wherever the data is aligned in it; nothing else is copied.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

import numpy as np

from core.errors import ErrorCode, TensorError
from core.tensors import Array, DType
from services.edge.bodies import Body

_LENGTH: Final = struct.Struct("<I")
_SMALL: Final = 16 * 2**10


def decode(body: Body, start: int, size: int, *, dtype: DType, shape: Sequence[int], count: int, name: str) -> Array:
    """Views ``size`` bytes of ``body`` from ``start`` as a tensor.

    Args:
        body: The request body.
        start: Offset of the tensor's first byte.
        size: Bytes the request declares for the tensor; ``start + size <= len(body)`` was checked.
        dtype: The declared datatype.
        shape: The declared shape.
        count: The product of ``shape``, checked against the limit.
        name: The tensor's name, for messages.

    Raises:
        TensorError: ``TENSOR_005`` if the bytes are not ``count`` elements of the datatype.
    """
    if dtype is DType.BYTES or size != count * dtype.numpy.itemsize:
        check_size(size, dtype=dtype, shape=shape, count=count, name=name)
    if dtype is DType.BYTES:
        return _decode_bytes(bytes(body[start : start + size]), count, name).reshape(shape)
    array = np.frombuffer(body, dtype=dtype.numpy, count=count, offset=start).reshape(shape)
    if type(body) is not bytes:
        array.flags.writeable = False
    if dtype is DType.BOOL and array.view(np.uint8).max(initial=0) > 1:
        raise _malformed(name, "a BOOL byte is neither 0 nor 1")
    return array if array.flags.aligned else array.copy()


def check_size(size: int, *, dtype: DType, shape: Sequence[int], count: int, name: str) -> None:
    """Refuses a size that cannot be that of the tensor, before a byte of it is looked at.

    Raises:
        TensorError: ``TENSOR_005``.
    """
    if dtype is DType.BYTES:
        if size < count * _LENGTH.size:
            raise _malformed(name, f"the data ends before element {size // _LENGTH.size} of {count}")
    elif size != count * dtype.numpy.itemsize:
        expected = count * dtype.numpy.itemsize
        raise _malformed(name, f"{size} bytes for shape {list(shape)} of {dtype.oip}; expected {expected}")


def _decode_bytes(data: bytes, count: int, name: str) -> Array:
    elements = np.empty(count, dtype=object)
    offset, end = 0, len(data)
    for index in range(count):
        if offset + _LENGTH.size > end:
            raise _malformed(name, f"the data ends before element {index} of {count}")
        (length,) = _LENGTH.unpack_from(data, offset)
        offset += _LENGTH.size
        if offset + length > end:
            raise _malformed(name, f"element {index} is {length} bytes long, beyond the tensor's data")
        elements[index] = data[offset : offset + length]
        offset += length
    if offset != end:
        raise _malformed(name, f"{end - offset} bytes are left after {count} elements")
    return elements


def encode(array: Array, dtype: DType) -> bytes:
    """The binary form of a tensor."""
    if dtype is not DType.BYTES:
        return array.astype(dtype.numpy, copy=False).tobytes()
    parts: list[bytes] = []
    for element in array.ravel():
        data = element.encode() if isinstance(element, str) else element
        parts += (_LENGTH.pack(len(data)), data)
    return b"".join(parts)


def lent(array: Array, dtype: DType) -> bytes | memoryview:
    """The binary form of a tensor to be sent at once: a view of the tensor itself where that is cheaper than a copy."""
    if dtype is DType.BYTES or array.nbytes < _SMALL:
        return encode(array, dtype)
    return np.ascontiguousarray(array, dtype=dtype.numpy).reshape(-1).view(np.uint8).data


def _malformed(name: str, why: str) -> TensorError:
    return TensorError(ErrorCode.TENSOR_DATA, f"Binary data of tensor {name!r}: {why}.", details={"tensor": name})
