# SPDX-License-Identifier: Apache-2.0
"""Between numpy arrays and the tensors of the Open Inference Protocol, in binary and in JSON form.

Law: ``decode_binary(encode_binary(a), datatype_of(a), a.shape) == a`` for every array the protocol can carry, NaN and
``-0.0`` bit for bit. Nothing is promoted: a float64 array is sent as FP64. Strings are sent as BYTES in UTF-8 and
come back as ``bytes``. BF16 (numpy has no such dtype) is taken from ``ml_dtypes.bfloat16`` arrays and comes back
widened, exactly, to float32. Decoded numeric arrays are read-only views of the reply; copy one before writing to it.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from furoshiki.errors import InvalidRequest

Array: TypeAlias = npt.NDArray[Any]

DTYPES: Final[dict[str, np.dtype[Any]]] = {
    "BOOL": np.dtype(np.bool_),
    "UINT8": np.dtype(np.uint8),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype(np.int8),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
BINARY_ONLY: Final = frozenset({"FP16", "BF16"})  # the protocol gives them no JSON form
_DATATYPES: Final = {dtype: name for name, dtype in DTYPES.items()}
_LENGTH: Final = struct.Struct("<I")


def datatype_of(array: Array) -> str:
    """The protocol's name for the array's dtype.

    Raises:
        InvalidRequest: ``TENSOR_002`` if the protocol cannot carry it.
    """
    if array.dtype.kind in "SUO":
        return "BYTES"
    if array.dtype.name == "bfloat16":
        return "BF16"
    found = _DATATYPES.get(array.dtype.newbyteorder("<"))
    if found is None:
        raise InvalidRequest(
            "TENSOR_002", f"numpy dtype {array.dtype} cannot be sent; expected one of {', '.join(DTYPES)} or BYTES."
        )
    return found


def encode_binary(array: Array) -> bytes:
    """The array in binary form: little-endian, row-major; BYTES as a 32-bit length and the bytes of each element."""
    datatype = datatype_of(array)
    if datatype == "BYTES":
        elements = [_element(value) for value in array.ravel().tolist()]
        return b"".join(piece for element in elements for piece in (_LENGTH.pack(len(element)), element))
    return array.tobytes() if datatype == "BF16" else array.astype(DTYPES[datatype], copy=False).tobytes()


def decode_binary(data: memoryview, datatype: str, shape: Sequence[int]) -> Array:
    """The array in ``data``.

    Raises:
        ValueError: If the bytes are not that many elements of the datatype.
    """
    count = math.prod(shape)
    if datatype == "BYTES":
        return _decode_elements(data, count).reshape(shape)
    if datatype == "BF16" and len(data) == count * 2:
        return (np.frombuffer(data, "<u2", count).astype("<u4") << 16).view("<f4").reshape(shape)
    dtype = DTYPES.get(datatype)
    if dtype is None or len(data) != count * dtype.itemsize:
        raise ValueError(f"{len(data)} bytes for shape {list(shape)} of {datatype}")
    return np.frombuffer(data, dtype).reshape(shape)


def encode_json(array: Array, *, name: str) -> list[Any]:
    """The elements of the array in row-major order, for JSON.

    Raises:
        InvalidRequest: ``TENSOR_002`` for FP16 and BF16, ``TENSOR_005`` for NaN, infinity and bytes that are no UTF-8:
            JSON has no way to write them.
    """
    datatype = datatype_of(array)
    if datatype in BINARY_ONLY:
        raise InvalidRequest("TENSOR_002", f"Input {name!r} is {datatype}, which JSON cannot carry; use binary=True.")
    if datatype == "BYTES":
        try:
            return [_element(value).decode() for value in array.ravel().tolist()]
        except UnicodeDecodeError:
            raise InvalidRequest(
                "TENSOR_005", f"Input {name!r} holds bytes that are no UTF-8; use binary=True."
            ) from None
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InvalidRequest("TENSOR_005", f"Input {name!r} holds NaN or infinity; use binary=True, JSON has neither.")
    values: list[Any] = array.ravel().tolist()
    return values


def decode_json(data: list[Any], datatype: str, shape: Sequence[int]) -> Array:
    """The array of nested or flat JSON ``data``; null is NaN.

    Raises:
        ValueError: If the data are not of that datatype and shape.
    """
    flat = _flattened(data)
    if len(flat) != math.prod(shape):
        raise ValueError(f"{len(flat)} elements for shape {list(shape)}")
    if datatype == "BYTES":
        array = np.empty(len(flat), dtype=object)
        array[:] = [_element(value) for value in flat]
        return array.reshape(shape)
    dtype = DTYPES.get(datatype)
    if dtype is None:
        raise ValueError(f"datatype {datatype!r}, which JSON cannot carry")
    numbers = [math.nan if value is None else value for value in flat] if dtype.kind == "f" else flat
    try:
        return np.array(numbers, dtype=dtype).reshape(shape)
    except (TypeError, OverflowError) as error:
        raise ValueError(f"elements that are not {datatype}: {error}") from None


def _element(value: object) -> bytes:
    if isinstance(value, str):
        return value.encode()
    if isinstance(value, bytes | bytearray):
        return bytes(value)
    raise InvalidRequest("TENSOR_002", f"A {type(value).__name__} cannot be sent as BYTES; expected bytes or str.")


def _decode_elements(data: memoryview, count: int) -> Array:
    if count * _LENGTH.size > len(data):  # before anything of that size is made
        raise ValueError(f"{len(data)} bytes for {count} elements of BYTES")
    array = np.empty(count, dtype=object)
    offset = 0
    for index in range(count):
        start = offset + _LENGTH.size
        if start > len(data):
            raise ValueError(f"the data end before element {index} of {count}")
        (length,) = _LENGTH.unpack_from(data, offset)
        offset = start + length
        if offset > len(data):
            raise ValueError(f"element {index} is longer than the data")
        array[index] = bytes(data[start:offset])
    if offset != len(data):
        raise ValueError(f"{len(data) - offset} bytes are left after {count} elements")
    return array


def _flattened(data: list[Any]) -> list[Any]:
    flat = data
    while flat and isinstance(flat[0], list):
        if not all(isinstance(row, list) for row in flat):
            raise ValueError("ragged nesting")
        flat = [value for row in flat for value in row]
    return flat
