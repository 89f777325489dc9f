# SPDX-License-Identifier: Apache-2.0
"""TFLite models in ai-edge-litert, on one thread with XNNPACK.

Several signatures that differ only in their number of rows are one model with several batch sizes; the one that fits is
run. Quantized inputs and outputs are quantized and dequantized here, so that a caller sees floats:
``real = (quantized - zero_point) * scale``.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from converters.parity.interface import Range, only_file, sizes_of
from core.errors import ErrorCode, ModelError
from core.tensors import ANY, Array, DType, Signature, TensorSpec, dtype_from_numpy

_PLAIN: Final = ""  # stands for the model's own inputs and outputs where the file declares no signature


class TfliteModel:
    """One interpreter, all signatures."""

    runtime = ("ai-edge-litert", version("ai-edge-litert"))

    def __init__(self, data: bytes) -> None:
        try:
            interpreter = Interpreter(model_content=data, num_threads=1)
            keys = sorted(interpreter.get_signature_list()) or [_PLAIN]
            self._entries = [_Entry(interpreter, key) for key in keys]
        except (ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:400]
            raise ModelError(ErrorCode.MODEL_INVALID, f"LiteRT refuses the model: {reason}") from None
        self._interpreter: Any = interpreter
        self.signature, self.sizes = _merged([each.signature for each in self._entries])
        self.ranges: Mapping[str, Range] = self._entries[0].ranges()

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        rows = {array.shape[0] for array in inputs.values() if array.ndim}
        for entry in self._entries:
            if len(self._entries) == 1 or sizes_of(entry.signature) == (min(rows),):
                return entry.run(inputs)
        raise ValueError(f"no signature for {sorted(rows)} rows; there are {self.sizes}")

    def close(self) -> None:
        self._entries = []
        self._interpreter = None


class _Entry:
    """One signature of a file, or the file's own tensors."""

    def __init__(self, interpreter: Any, key: str) -> None:
        self._interpreter = interpreter
        self._runner = interpreter.get_signature_runner(key) if key else None
        if self._runner is None:
            self._inputs = {each["name"]: each for each in interpreter.get_input_details()}
            self._outputs = {each["name"]: each for each in interpreter.get_output_details()}
        else:
            self._inputs, self._outputs = self._runner.get_input_details(), self._runner.get_output_details()
        self.signature = Signature(
            inputs=tuple(_spec(name, each) for name, each in self._inputs.items()),
            outputs=tuple(_spec(name, each) for name, each in self._outputs.items()),
        )

    def ranges(self) -> dict[str, Range]:
        return {name: _range(each) for name, each in (self._inputs | self._outputs).items() if _scale(each) is not None}

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        feed = {name: _quantized(np.ascontiguousarray(inputs[name]), each) for name, each in self._inputs.items()}
        results = self._run_plain(feed) if self._runner is None else self._runner(**feed)
        return {name: _dequantized(results[name], each) for name, each in self._outputs.items()}

    def _run_plain(self, feed: Mapping[str, Array]) -> dict[str, Array]:
        for name, array in feed.items():
            self._interpreter.resize_tensor_input(self._inputs[name]["index"], array.shape)
        self._interpreter.allocate_tensors()
        for name, array in feed.items():
            self._interpreter.set_tensor(self._inputs[name]["index"], array)
        self._interpreter.invoke()
        return {name: self._interpreter.get_tensor(each["index"]) for name, each in self._outputs.items()}


def open_tflite(folder: Path, _: Signature | None = None) -> TfliteModel:
    """Opens the only ``.tflite`` file of a folder.

    Raises:
        ModelError: ``MODEL_003`` if there is not exactly one, or LiteRT refuses it.
    """
    return TfliteModel(only_file(folder, ".tflite").read_bytes())


def signature_of(interpreter: Any, key: str) -> Signature:
    """What one signature of a file takes and gives."""
    return _Entry(interpreter, key).signature


def _merged(signatures: list[Signature]) -> tuple[Signature, tuple[int, ...] | None]:
    first = signatures[0]
    if len(signatures) == 1:
        return first, sizes_of(first)
    sizes = [sizes_of(each) for each in signatures]
    if len({each.with_any_batch() for each in signatures}) != 1 or not all(size and len(size) == 1 for size in sizes):
        raise ModelError(
            ErrorCode.MODEL_INVALID,
            f"The model has {len(signatures)} signatures that differ in more than the batch; expected one model.",
        )
    return first.with_any_batch(), tuple(sorted(size[0] for size in sizes if size))


def _spec(name: str, detail: Mapping[str, Any]) -> TensorSpec:
    declared = detail.get("shape_signature", ())
    shape = tuple(int(size) for size in (declared if len(declared) == len(detail["shape"]) else detail["shape"]))
    dtype = DType.FP32 if _scale(detail) is not None else dtype_from_numpy(np.dtype(detail["dtype"]))
    return TensorSpec(name=name, dtype=dtype, shape=tuple(ANY if size < 0 else size for size in shape))


def _scale(detail: Mapping[str, Any]) -> float | None:
    """The step of a quantized input or output; None: it is not quantized."""
    scales = detail["quantization_parameters"]["scales"]
    return float(scales[0]) if len(scales) == 1 and np.dtype(detail["dtype"]).kind in "iu" else None


def _zero(detail: Mapping[str, Any]) -> int:
    return int(detail["quantization_parameters"]["zero_points"][0])


def _range(detail: Mapping[str, Any]) -> Range:
    limits, step, zero = np.iinfo(detail["dtype"]), _scale(detail) or 0.0, _zero(detail)
    return (int(limits.min) - zero) * step, (int(limits.max) - zero) * step


def _quantized(array: Array, detail: Mapping[str, Any]) -> Array:
    step = _scale(detail)
    if step is None:
        return array
    limits = np.iinfo(detail["dtype"])
    rounded = np.rint(array / step) + _zero(detail)
    stored: Array = np.clip(rounded, limits.min, limits.max).astype(detail["dtype"])
    return stored


def _dequantized(array: Array, detail: Mapping[str, Any]) -> Array:
    step = _scale(detail)
    return array if step is None else ((array.astype(np.float32) - _zero(detail)) * step).astype(np.float32)
