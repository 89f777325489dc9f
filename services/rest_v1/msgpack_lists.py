# SPDX-License-Identifier: Apache-2.0
"""Tensors as nested lists in MessagePack: strict in, exact out.

Numbers are decoded straight into the declared type by msgspec, so nothing is converted but integers to floats. A finite
number that is too large for its datatype is refused; NaN and infinities are numbers like others. Elements of a BYTES tensor
come as ``str`` or ``bin`` and go out as ``bin``.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final

import msgspec
import numpy as np

from core.errors import ErrorCode, InvalidRequest, TensorError
from core.numbers import exact_array
from core.tensors import Array, DType, TensorSpec
from services.edge import json_tensors
from services.rest_v1.declared_tensors import bad_data
from services.rest_v1.msgpack_wire import first_element, is_array

ELEMENTS: Final[dict[DType, Any]] = {
    DType.BOOL: bool,
    DType.BYTES: Any,
    **{dtype: {"f": float}.get(dtype.numpy.kind, int) for dtype in DType if dtype.numpy.kind in "uif"},
}
del ELEMENTS[DType.FP16]  # as in JSON: a list cannot say how it was rounded

_UNREADABLE: Final = (msgspec.MsgspecError, UnicodeDecodeError, ValueError, OverflowError, RecursionError, TypeError)


@cache
def _decoder(dtype: DType, depth: int) -> msgspec.msgpack.Decoder[Any]:
    wanted: Any = ELEMENTS[dtype]
    for _ in range(depth):
        wanted = list[wanted]
    return msgspec.msgpack.Decoder(wanted)


def decode(packed: bytes, spec: TensorSpec, *, most_strings: int) -> Array:
    """Decodes nested lists, or a single element for a tensor of rank 0.

    Args:
        packed: One MessagePack value, known to be whole.
        spec: Datatype and rank it must have.
        most_strings: Elements a BYTES tensor may have.

    Returns:
        A new array: of the specification's rank if the data was nested, of one dimension if it was flat.

    Raises:
        InvalidRequest: ``VALID_003`` beyond ``most_strings``.
        TensorError: ``TENSOR_002`` if the datatype has no list form; ``TENSOR_005`` if an element is not of the datatype,
            or the nesting is ragged or of another depth.
    """
    dtype, rank = spec.dtype, len(spec.shape)
    if dtype not in ELEMENTS:
        raise TensorError(
            ErrorCode.TENSOR_DTYPE,
            f'Tensor {spec.name!r}: {dtype.oip} cannot travel as a list; send {{"shape", "datatype", "data"}}.',
            details={"tensor": spec.name},
        )
    depth = rank
    if rank and is_array(packed) and not is_array(first_element(packed) or b"\x00"):
        depth = 1
    try:
        values = _decoder(dtype, depth).decode(packed)
        array = _strings(values, most_strings) if dtype is DType.BYTES else _numbers(values, dtype)
    except _UNREADABLE as error:
        raise bad_data(spec.name, f"expected a list {rank} deep of {dtype.oip}: {error}") from None
    if array.ndim != depth:
        raise bad_data(spec.name, f"expected a list {rank} deep of {dtype.oip}: the nesting is ragged")
    return array


def _numbers(values: Any, dtype: DType) -> Array:
    if dtype is not DType.FP32:
        return exact_array(values, dtype.numpy)
    exact = np.array(values, dtype=np.float64)
    with np.errstate(over="ignore"):
        rounded = exact.astype(np.float32)
    if not np.array_equal(np.isinf(rounded), np.isinf(exact)):
        raise ValueError("a number is out of range for FP32")
    return rounded


def _strings(values: Any, most: int) -> Array:
    words = np.array(values, dtype=object)
    json_tensors.check_strings(words.size, most)
    flat = [_bytes(word) for word in words.ravel()]
    array = np.empty(len(flat), dtype=object)
    array[:] = flat
    return array.reshape(words.shape)


def _bytes(word: object) -> bytes:
    if isinstance(word, str):
        return word.encode()
    if isinstance(word, bytes):
        return word
    raise ValueError(f"an element is of type {type(word).__name__}")


def written(array: Array, dtype: DType, *, name: str, limit: int) -> Any:
    """What msgspec writes for a tensor.

    Raises:
        InvalidRequest: ``VALID_003`` above ``limit`` bytes: writing lists holds up everybody else.
    """
    if array.nbytes > limit:
        raise InvalidRequest(
            ErrorCode.TOO_LARGE,
            f"Output {name!r} has {array.nbytes} bytes; as lists at most {limit} are sent. Send inputs raw to get "
            "outputs raw.",
            details={"output": name, "limit": limit},
        )
    if dtype is not DType.BYTES:
        return array.tolist()
    flat = [element.encode() if isinstance(element, str) else element for element in array.ravel()]
    return np.array(flat, dtype=object).reshape(array.shape).tolist()
