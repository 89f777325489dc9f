# SPDX-License-Identifier: Apache-2.0
"""The edge of a TFLite model: its tensors as callers see them.

Law: a tensor that is quantized as a whole (one scale) is float32 to callers. ``q = clip(round(x / scale) + zero)`` on the way
in and ``x = (q - zero) * scale`` on the way out, rounding half to even and clipping to the integer's range, as the reference
kernels Quantize and Dequantize do (tensorflow/lite/kernels/internal/reference). All other tensors pass as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from core.tensors import Array, DType, Shape, TensorSpec, dtype_from_numpy
from runners.backends.failures import invalid


@dataclass(frozen=True, slots=True, kw_only=True)
class Edge:
    """One input or output.

    Attributes:
        name: Its name in the signature.
        index: Its number in the interpreter's subgraph.
        shape: As callers see it, -1 where free.
        dtype: As callers see it.
        scale: Of the quantization; 0: it is not quantized.
        zero: The integer that stands for 0.0.
        stored: The runtime's own dtype.
    """

    name: str
    index: int
    shape: Shape
    dtype: DType
    scale: float
    zero: int
    stored: np.dtype[Any]

    @property
    def spec(self) -> TensorSpec:
        return TensorSpec(name=self.name, dtype=self.dtype, shape=self.shape)

    def inward(self, array: Array) -> Array:
        """A caller's tensor as the runtime takes it."""
        if self.scale == 0.0:
            return array
        limits = np.iinfo(self.stored)
        steps: Array = np.rint(array / self.scale) + self.zero
        return np.clip(steps, limits.min, limits.max).astype(self.stored)

    def outward(self, array: Array) -> Array:
        """The runtime's tensor as callers get it."""
        if self.scale == 0.0:
            return array
        return (array.astype(np.float32) - np.float32(self.zero)) * np.float32(self.scale)


def edge(name: str, details: Mapping[str, Any]) -> Edge:
    """The edge that the interpreter's details describe.

    Raises:
        ModelError: ``MODEL_003`` if its datatype is none of the protocol's.
    """
    stored = np.dtype(details["dtype"])
    if stored.kind not in "biuf":
        raise invalid(
            f"Tensor {name!r} has datatype {stored}; only numbers and booleans are served from TFLite models."
        )
    scale, zero = details["quantization"]
    quantized = float(scale) != 0.0 and stored.kind in "iu"
    shape = details.get("shape_signature")
    shape = details["shape"] if shape is None or len(shape) == 0 else shape
    return Edge(
        name=name,
        index=int(details["index"]),
        shape=tuple(int(size) for size in shape),
        dtype=DType.FP32 if quantized else dtype_from_numpy(stored),
        scale=float(scale) if quantized else 0.0,
        zero=int(zero),
        stored=stored,
    )
