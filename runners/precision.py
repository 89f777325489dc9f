# SPDX-License-Identifier: Apache-2.0
"""The precision of a model that says nothing of its numbers inside."""

from __future__ import annotations

from typing import Final

from core.tensors import DType, Signature

_NAMES: Final = {DType.FP16: "fp16", DType.BF16: "bf16", DType.FP64: "fp64"}


def precision_of_edges(signature: Signature) -> str:
    """That of the floating inputs and outputs; fp32 if there are none, or one of them is float32."""
    dtypes = {spec.dtype for spec in (*signature.inputs, *signature.outputs)}
    return next((name for dtype, name in _NAMES.items() if dtype in dtypes and DType.FP32 not in dtypes), "fp32")
