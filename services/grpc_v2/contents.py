# SPDX-License-Identifier: Apache-2.0
"""Typed tensor contents: strict in, as in JSON.

Elements stand in exactly the one field of the tensor's datatype; a number outside of a narrower datatype is refused, not
wrapped. Outputs always travel raw.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from core.errors import ErrorCode, TensorError
from core.tensors import Array, DType
from services.grpc_v2.protocol import open_inference_pb2 as pb


def decode(contents: pb.InferTensorContents, dtype: DType, *, shape: list[int], count: int, name: str) -> Array:
    """The tensor that typed contents hold.

    Args:
        contents: As parsed.
        dtype: The declared datatype.
        shape: The declared shape.
        count: The product of ``shape``, checked against the limit.
        name: The tensor's name, for messages.

    Returns:
        A new array.

    Raises:
        TensorError: ``TENSOR_001`` if there are not ``count`` elements, ``TENSOR_002`` if the datatype travels raw only,
            ``TENSOR_005`` if they stand in another field or are out of range.
    """
    field = dtype.grpc_field
    if field is None:
        raise TensorError(
            ErrorCode.TENSOR_DTYPE,
            f"Tensor {name[:80]!r}: {dtype.oip} cannot travel as typed contents; use raw_input_contents.",
            details={"tensor": name[:80]},
        )
    wrong = [found.name for found, _ in contents.ListFields() if found.name != field]
    if wrong:
        raise bad_data(name, f"{dtype.oip} elements belong into {field}, not into {', '.join(wrong)}")
    values: Any = getattr(contents, field)
    if len(values) != count:
        raise TensorError(
            ErrorCode.TENSOR_SHAPE,
            f"Data of tensor {name[:80]!r} has {len(values)} elements; its 'shape' says {shape}.",
            details={"tensor": name[:80]},
        )
    return _array(values, dtype, name).reshape(shape)


def _array(values: Any, dtype: DType, name: str) -> Array:
    if dtype is DType.BYTES:
        words = np.empty(len(values), dtype=object)
        words[:] = values
        return words
    if dtype.numpy.kind not in "iu" or dtype.numpy.itemsize >= 4:  # the field's own type
        return np.array(values, dtype=dtype.numpy)
    wide: Array = np.array(values, dtype=np.int64)
    bounds = np.iinfo(dtype.numpy)
    if wide.size and (wide.min() < bounds.min or wide.max() > bounds.max):
        raise bad_data(name, f"a number is out of range for {dtype.oip}")
    return wide.astype(dtype.numpy)


def bad_data(name: str, why: str) -> TensorError:
    """The error for contents that are not what was declared."""
    return TensorError(ErrorCode.TENSOR_DATA, f"Data of tensor {name[:80]!r}: {why}.", details={"tensor": name[:80]})
