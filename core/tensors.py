# SPDX-License-Identifier: Apache-2.0
"""Datatypes and tensors: the one table that maps the Open Inference Protocol to numpy, ONNX and the gRPC contents field.

Rules. Nothing is promoted: a tensor has exactly the datatype of the model's signature or it is refused. Tensors are
row-major and, once decoded, read-only views wherever the source buffer allows it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Final, TypeAlias

import ml_dtypes
import numpy as np
import numpy.typing as npt

from core.errors import ErrorCode, TensorError

Array: TypeAlias = npt.NDArray[Any]
Shape: TypeAlias = tuple[int, ...]

ANY: Final = -1  # a dimension of any size in a signature


class DType(Enum):
    """Protocol name, numpy dtype, ONNX ``TensorProto.DataType`` number, gRPC ``InferTensorContents`` field.

    The numpy dtype of BYTES is ``object`` (elements are ``bytes``). A gRPC field of None means raw contents only.
    """

    BOOL = ("BOOL", np.dtype(np.bool_), 9, "bool_contents")
    UINT8 = ("UINT8", np.dtype(np.uint8), 2, "uint_contents")
    UINT16 = ("UINT16", np.dtype("<u2"), 4, "uint_contents")
    UINT32 = ("UINT32", np.dtype("<u4"), 12, "uint_contents")
    UINT64 = ("UINT64", np.dtype("<u8"), 13, "uint64_contents")
    INT8 = ("INT8", np.dtype(np.int8), 3, "int_contents")
    INT16 = ("INT16", np.dtype("<i2"), 5, "int_contents")
    INT32 = ("INT32", np.dtype("<i4"), 6, "int_contents")
    INT64 = ("INT64", np.dtype("<i8"), 7, "int64_contents")
    FP16 = ("FP16", np.dtype("<f2"), 10, None)
    BF16 = ("BF16", np.dtype(ml_dtypes.bfloat16), 16, None)
    FP32 = ("FP32", np.dtype("<f4"), 1, "fp32_contents")
    FP64 = ("FP64", np.dtype("<f8"), 11, "fp64_contents")
    BYTES = ("BYTES", np.dtype(object), 8, "bytes_contents")

    def __init__(self, oip: str, numpy: np.dtype[Any], onnx: int, grpc_field: str | None) -> None:
        self.oip = oip
        self.numpy = numpy
        self.onnx = onnx
        self.grpc_field = grpc_field

    __hash__ = object.__hash__  # members are singletons; Enum's own hash is a Python call on every dictionary look-up

    @property
    def itemsize(self) -> int | None:
        """Bytes per element in binary form; None for BYTES, whose elements carry their own length."""
        return None if self is DType.BYTES else self.numpy.itemsize


_BY_OIP: Final = {dtype.oip: dtype for dtype in DType}
_BY_NUMPY: Final = {dtype.numpy: dtype for dtype in DType}
_BY_ONNX: Final = {dtype.onnx: dtype for dtype in DType}


def dtype_from_oip(name: str) -> DType:
    """The datatype of a protocol name.

    Raises:
        TensorError: ``TENSOR_002`` if the protocol has no such datatype.
    """
    dtype = _BY_OIP.get(name)
    if dtype is None:
        raise TensorError(
            ErrorCode.TENSOR_DTYPE, f"Unknown datatype {name[:40]!r}; expected one of {', '.join(_BY_OIP)}."
        )
    return dtype


def dtype_from_numpy(dtype: np.dtype[Any]) -> DType:
    """The datatype of a numpy dtype; strings and objects are BYTES.

    Raises:
        TensorError: ``TENSOR_002`` if the protocol cannot carry it.
    """
    if dtype.kind in "SUO":
        return DType.BYTES
    found = _BY_NUMPY.get(dtype.newbyteorder("<"))
    if found is None:
        raise TensorError(ErrorCode.TENSOR_DTYPE, f"numpy dtype {dtype} has no Open Inference Protocol datatype.")
    return found


def dtype_from_onnx(number: int) -> DType:
    """The datatype of an ONNX ``TensorProto.DataType`` number.

    Raises:
        TensorError: ``TENSOR_002`` if the protocol cannot carry it.
    """
    dtype = _BY_ONNX.get(number)
    if dtype is None:
        raise TensorError(ErrorCode.TENSOR_DTYPE, f"ONNX element type {number} has no protocol datatype.")
    return dtype


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorSpec:
    """One input or output of a model. ``shape`` has ANY (-1) where a dimension may have any size."""

    name: str
    dtype: DType
    shape: Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class Signature:
    """What a model takes and gives.

    Attributes:
        batch_size: Dimension 0 of every tensor, where all have the same: ANY (-1) for a batch of any size, N for a batch of
            exactly N rows or for something else that is N long; None: they differ.
    """

    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    batch_size: int | None = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        sizes = {spec.shape[0] if spec.shape else None for spec in (*self.inputs, *self.outputs)}
        object.__setattr__(self, "batch_size", sizes.pop() if len(sizes) == 1 else None)

    @property
    def batched(self) -> bool:
        """Whether dimension 0 of every tensor is a batch of any size."""
        return self.batch_size == ANY

    def with_any_batch(self) -> Signature:
        """The same tensors, dimension 0 of each of any size."""
        return Signature(inputs=_any_rows(self.inputs), outputs=_any_rows(self.outputs))


def _any_rows(specs: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    return tuple(replace(spec, shape=(ANY, *spec.shape[1:])) for spec in specs)


def element_count(shape: Sequence[int], *, name: str, limit: int) -> int:
    """The number of elements of ``shape``, checked before anything is allocated.

    Args:
        shape: Dimensions as sent by a caller.
        name: The tensor's name, for the message.
        limit: The most elements accepted.

    Raises:
        TensorError: ``TENSOR_001`` if a dimension is negative or the product, zeros left out, exceeds ``limit``.
    """
    if shape and min(shape) < 0:
        raise TensorError(ErrorCode.TENSOR_SHAPE, f"Tensor {name!r} has shape {list(shape)}; dimensions must be >= 0.")
    count = math.prod(shape)
    # A zero dimension hides the others from the product, and numpy cannot hold just any others.
    if count > limit or (not count and math.prod(filter(None, shape)) > limit):
        raise TensorError(
            ErrorCode.TENSOR_SHAPE, f"Tensor {name!r} has {count} elements in its shape; the limit is {limit}."
        )
    return count


def fits(shape: Shape, wanted: Shape) -> bool:
    """Whether a concrete shape is one of those a specification allows."""
    if len(shape) != len(wanted):
        return False
    for size, expected in zip(shape, wanted):  # noqa: B905, SIM110 -- on the hot path
        if expected != size and expected != ANY:  # noqa: PLR1714
            return False
    return True


def check_against(spec: TensorSpec, array: Array, dtype: DType, *, subject: str) -> None:
    """Checks one tensor against its specification.

    Args:
        spec: What the model's signature says.
        array: The decoded tensor.
        dtype: The datatype it was sent as.
        subject: The model, for the message.

    Raises:
        TensorError: ``TENSOR_002`` on another datatype, ``TENSOR_001`` on another rank or dimension.
    """
    if dtype is not spec.dtype:
        raise TensorError(
            ErrorCode.TENSOR_DTYPE,
            f"Input {spec.name!r} of {subject} has datatype {dtype.oip}; expected {spec.dtype.oip}.",
            details={"input": spec.name, "got": dtype.oip, "expected": spec.dtype.oip},
        )
    shape, wanted = array.shape, spec.shape
    if not fits(shape, wanted):
        raise TensorError(
            ErrorCode.TENSOR_SHAPE,
            f"Input {spec.name!r} of {subject} has shape {list(shape)}; expected {list(wanted)}.",
            details={"input": spec.name, "got": list(shape), "expected": list(wanted)},
        )


def nbytes(tensors: Mapping[str, Array]) -> int:
    """Bytes held by the tensors; BYTES elements count their payload."""
    return sum(
        a.nbytes if a.dtype != np.object_ else sum(len(element) for element in a.ravel()) for a in tensors.values()
    )
