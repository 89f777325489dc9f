# SPDX-License-Identifier: Apache-2.0
"""The tensors of an onnxruntime session."""

from __future__ import annotations

from typing import Any, Final

from core.errors import ErrorCode, ModelError
from core.tensors import ANY, DType, Signature, TensorSpec

DTYPES: Final = {
    "tensor(bool)": DType.BOOL,
    "tensor(uint8)": DType.UINT8,
    "tensor(uint16)": DType.UINT16,
    "tensor(uint32)": DType.UINT32,
    "tensor(uint64)": DType.UINT64,
    "tensor(int8)": DType.INT8,
    "tensor(int16)": DType.INT16,
    "tensor(int32)": DType.INT32,
    "tensor(int64)": DType.INT64,
    "tensor(float16)": DType.FP16,
    "tensor(bfloat16)": DType.BF16,
    "tensor(float)": DType.FP32,
    "tensor(double)": DType.FP64,
    "tensor(string)": DType.BYTES,
}


def read_signature(session: Any) -> Signature:
    """What an ``onnxruntime.InferenceSession`` takes and gives.

    Raises:
        ModelError: ``MODEL_003`` if one of them is no plain tensor.
    """
    return Signature(
        inputs=tuple(_spec(node) for node in session.get_inputs()),
        outputs=tuple(_spec(node) for node in session.get_outputs()),
    )


def _spec(node: Any) -> TensorSpec:
    dtype = DTYPES.get(node.type)
    if dtype is None:
        hint = " Export with zipmap=False." if "map(" in node.type else ""
        raise ModelError(
            ErrorCode.MODEL_INVALID, f"Tensor {node.name!r} has type {node.type}; only plain tensors are served.{hint}"
        )
    shape = tuple(dim if isinstance(dim, int) and dim >= 0 else ANY for dim in node.shape)
    return TensorSpec(name=node.name, dtype=dtype, shape=shape)
