# SPDX-License-Identifier: Apache-2.0
"""Tensor data in JSON: strict in, shortest out.

Numbers are decoded straight into the declared type by msgspec: a string, a boolean or a null is never taken for a number,
and an integer outside its datatype is refused, not wrapped. JSON has no NaN and no infinity, so none comes in; a number
too large for its datatype is refused; a result that is not finite goes out as ``null``. FP16 and BF16 never travel as
JSON; the protocol has its binary form for them.
"""

from __future__ import annotations

import struct
from functools import cache
from typing import Any, Final

import msgspec
import numpy as np

from core.errors import ErrorCode, InvalidRequest, TensorError
from core.numbers import exact_array
from core.tensors import Array, DType

_ELEMENTS: Final[dict[DType, type]] = {
    DType.BOOL: bool,
    DType.FP32: float,
    DType.FP64: float,
    DType.BYTES: str,
    **dict.fromkeys(
        (
            DType.UINT8,
            DType.UINT16,
            DType.UINT32,
            DType.UINT64,
            DType.INT8,
            DType.INT16,
            DType.INT32,
            DType.INT64,
        ),
        int,
    ),
}
_TYPE_CODES: Final = {DType.FP32: "f", DType.FP64: "d"}
_BLANK: Final = b" \t\r\n"


@cache
def _decoder(element: type, depth: int) -> msgspec.json.Decoder[Any]:
    wanted: Any = element
    for _ in range(depth):
        wanted = list[wanted]
    return msgspec.json.Decoder(wanted)


def decode(raw: msgspec.Raw, dtype: DType, *, name: str, rank: int, most_strings: int) -> Array:
    """Decodes the JSON array of one tensor.

    Args:
        raw: The JSON text of ``data``.
        dtype: The datatype it must have.
        name: The tensor's name, for messages.
        rank: The number of dimensions of the tensor; nested data must have exactly this depth.
        most_strings: Elements a BYTES tensor may have.

    Returns:
        A new array: of ``rank`` dimensions if the data was nested, of one if it was flat.

    Raises:
        TensorError: ``TENSOR_002`` for a datatype JSON cannot carry; ``TENSOR_005`` if an element is not of the datatype,
            or the nesting is ragged or of another depth.
        InvalidRequest: ``VALID_003`` beyond ``most_strings``.
    """
    element = _element_type(dtype, name)
    text = bytes(raw)
    depth = rank if text[1:].lstrip(_BLANK)[:1] == b"[" else 1
    try:
        values = _decoder(element, depth).decode(text)
        return _to_array(values, dtype, most_strings)
    except (msgspec.MsgspecError, ValueError, OverflowError, RecursionError) as error:
        raise TensorError(
            ErrorCode.TENSOR_DATA,
            f"Data of tensor {name!r} is not a flat or {rank}-deep array of {dtype.oip}: {error}.",
            details={"tensor": name},
        ) from None


def _element_type(dtype: DType, name: str) -> type:
    element = _ELEMENTS.get(dtype)
    if element is None:
        raise TensorError(
            ErrorCode.TENSOR_DTYPE,
            f"Tensor {name!r}: {dtype.oip} cannot travel as JSON; use the binary tensor data extension.",
            details={"tensor": name},
        )
    return element


def check_strings(count: int, most: int) -> None:
    """Refuses more BYTES elements than may be decoded; each costs the event loop its own step.

    Raises:
        InvalidRequest: ``VALID_003``.
    """
    if count > most:
        raise InvalidRequest(
            ErrorCode.TOO_LARGE,
            f"The BYTES tensors have {count} elements; the limit is {most}.",
            details={"got": count, "limit": most},
        )


def too_large(size: int, limit: int) -> InvalidRequest:
    """The error for more JSON than is parsed."""
    return InvalidRequest(
        ErrorCode.TOO_LARGE,
        f"The request has {size} bytes of JSON; the limit is {limit}. Larger tensors: send it in binary form "
        "(the binary tensor data extension of /v2).",
        details={"got": size, "limit": limit},
    )


def _to_array(values: list[Any], dtype: DType, most_strings: int) -> Array:
    if dtype is DType.BYTES:
        words = np.array(values, dtype=object)
        check_strings(words.size, most_strings)
        return np.array([_bytes(word) for word in words.ravel()], dtype=object).reshape(words.shape)
    if dtype.numpy.kind != "f":
        return exact_array(values, dtype.numpy)
    if values and type(values[0]) is float:
        # The usual form. A number too large for the datatype is an OverflowError here; the parser gives no others.
        return np.frombuffer(struct.pack(f"<{len(values)}{_TYPE_CODES[dtype]}", *values), dtype=dtype.numpy)
    with np.errstate(over="ignore"):
        numbers = np.array(values, dtype=dtype.numpy)
    if not np.isfinite(numbers).all():
        raise ValueError(f"a number is out of range for {dtype.oip}")
    return numbers


def _bytes(word: object) -> bytes:
    if not isinstance(word, str):
        raise ValueError("the nesting is ragged")  # noqa: TRY004 -- one family of bad data
    return word.encode()


def encodable(array: Array, dtype: DType, *, name: str, limit: int) -> Any:
    """What orjson writes for a tensor, flat and row-major.

    Raises:
        InvalidRequest: ``VALID_003`` above ``limit`` bytes: writing JSON holds up everybody else.
        TensorError: ``TENSOR_002`` for FP16 and BF16; ``TENSOR_005`` for bytes that are not UTF-8.
    """
    if array.nbytes > limit:
        raise InvalidRequest(
            ErrorCode.TOO_LARGE,
            f"Output {name!r} has {array.nbytes} bytes; as JSON at most {limit} are sent. Ask for it in binary form.",
            details={"output": name, "limit": limit},
        )
    if dtype is DType.BYTES:
        return [_text(element, name) for element in array.ravel()]
    _element_type(dtype, name)
    return array.ravel()


def _text(element: str | bytes, name: str) -> str:
    if isinstance(element, str):
        return element
    try:
        return element.decode()
    except UnicodeDecodeError:
        raise TensorError(
            ErrorCode.TENSOR_DATA, f"Output {name!r} holds bytes that are not UTF-8; ask for it in binary form."
        ) from None
