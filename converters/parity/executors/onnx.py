# SPDX-License-Identifier: Apache-2.0
"""ONNX models in onnxruntime."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime as ort
from onnx import numpy_helper

from converters.parity.interface import Range, only_file, sizes_of
from core.errors import ErrorCode, ModelError
from core.tensors import ANY, Array, Signature, TensorSpec, dtype_from_onnx

_LIMITS: Final = {"uint8": (0, 255), "int8": (-128, 127), "uint16": (0, 65535), "int16": (-32768, 32767)}
_TYPES: Final = {
    "tensor(float)": 1,
    "tensor(double)": 11,
    "tensor(float16)": 10,
    "tensor(bfloat16)": 16,
    "tensor(string)": 8,
    "tensor(bool)": 9,
    "tensor(uint8)": 2,
    "tensor(uint16)": 4,
    "tensor(uint32)": 12,
    "tensor(uint64)": 13,
    "tensor(int8)": 3,
    "tensor(int16)": 5,
    "tensor(int32)": 6,
    "tensor(int64)": 7,
}


class OnnxModel:
    """One session on one thread."""

    runtime = ("onnxruntime", ort.__version__)

    def __init__(self, path: Path) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4
        try:
            session = ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            reason = " ".join(str(error).split())[:400]
            raise ModelError(ErrorCode.MODEL_INVALID, f"onnxruntime refuses the model: {reason}") from None
        self._session: ort.InferenceSession | None = session
        self.signature = Signature(
            inputs=tuple(_spec(node) for node in session.get_inputs()),
            outputs=tuple(_spec(node) for node in session.get_outputs()),
        )
        self.sizes = sizes_of(self.signature)
        self.ranges: Mapping[str, Range] = quantized_ranges(onnx.load(path, load_external_data=False).graph)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        if self._session is None:
            raise RuntimeError("closed")
        names = [spec.name for spec in self.signature.outputs]
        return dict(zip(names, self._session.run(names, dict(inputs)), strict=True))

    def close(self) -> None:
        self._session = None


def open_onnx(folder: Path, _: Signature | None = None) -> OnnxModel:
    """Opens the only ``.onnx`` file of a folder.

    Raises:
        ModelError: ``MODEL_003`` if there is not exactly one, or onnxruntime refuses it.
    """
    return OnnxModel(only_file(folder, ".onnx"))


def quantized_ranges(graph: Any) -> dict[str, Range]:
    """Of inputs that go into a QuantizeLinear, and outputs that come out of a DequantizeLinear."""
    constants = {each.name: each for each in graph.initializer}
    inputs, outputs = {each.name for each in graph.input}, {each.name for each in graph.output}
    found: dict[str, Range] = {}
    for node in graph.node:
        if node.op_type == "QuantizeLinear" and node.input[0] in inputs:
            name = node.input[0]
        elif node.op_type == "DequantizeLinear" and node.output[0] in outputs:
            name = node.output[0]
        else:
            continue
        if len(node.input) == 3 and set(node.input[1:]) <= set(constants):
            scale, zero = (numpy_helper.to_array(constants[each]) for each in node.input[1:])
            if scale.size == 1 and zero.dtype.name in _LIMITS:
                low, high = _LIMITS[zero.dtype.name]
                offset = float(np.asarray(zero).astype(np.int64).ravel()[0])
                step = float(scale.ravel()[0])
                found[name] = ((low - offset) * step, (high - offset) * step)
    return found


def _spec(node: Any) -> TensorSpec:
    number = _TYPES.get(node.type)
    if number is None:
        raise ModelError(
            ErrorCode.MODEL_INVALID, f"Tensor {node.name!r} has type {node.type}; expected a plain tensor."
        )
    shape = tuple(size if isinstance(size, int) and size >= 0 else ANY for size in node.shape)
    return TensorSpec(name=node.name, dtype=dtype_from_onnx(number), shape=shape)
