# SPDX-License-Identifier: Apache-2.0
"""Tensors that say themselves what they are: a datatype, a shape and elements that must agree with both."""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import ErrorCode, TensorError
from core.tensors import Array, DType, dtype_from_oip, element_count
from services.edge import binary_tensors, json_tensors
from services.edge.limits import EdgeLimits


def declared(datatype: str, shape: Sequence[int], *, name: str, limits: EdgeLimits) -> tuple[DType, int]:
    """The datatype and number of elements of a declaration, checked before any element is looked at.

    Raises:
        InvalidRequest: ``VALID_003`` on too many BYTES elements.
        TensorError: ``TENSOR_001`` on a shape beyond the limits, ``TENSOR_002`` on an unknown datatype.
    """
    dtype = dtype_from_oip(datatype)
    if len(shape) > limits.rank:
        raise TensorError(ErrorCode.TENSOR_SHAPE, f"Tensor {name[:80]!r} has rank {len(shape)}; limit {limits.rank}.")
    count = element_count(shape, name=name[:80], limit=limits.tensor_elements)
    if dtype is DType.BYTES:
        json_tensors.check_strings(count, limits.bytes_elements)
    return dtype, count


def from_raw(datatype: str, shape: Sequence[int], data: bytes, *, name: str, limits: EdgeLimits) -> tuple[Array, DType]:
    """A tensor from its binary form.

    Raises:
        InvalidRequest: ``VALID_003`` on too many BYTES elements.
        TensorError: ``TENSOR_*`` if the declaration is not legal or the bytes contradict it.
    """
    dtype, count = declared(datatype, shape, name=name, limits=limits)
    array = binary_tensors.decode(data, 0, len(data), dtype=dtype, shape=shape, count=count, name=name)
    return array, dtype


def bad_data(name: str, why: str) -> TensorError:
    """The error for elements that are not what was declared."""
    return TensorError(ErrorCode.TENSOR_DATA, f"Data of tensor {name[:80]!r}: {why}.", details={"tensor": name[:80]})
