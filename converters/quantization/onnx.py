# SPDX-License-Identifier: Apache-2.0
"""ONNX models quantized by onnxruntime, and halved by onnxconverter-common.

* ``int8dyn``: int8 weights; activations are quantized as they come. Matrix products and embeddings only: dynamic
  convolutions are many times slower than float ones.
* ``int8``: int8 weights per output channel, uint8 activations with ranges from calibration data, as QuantizeLinear and
  DequantizeLinear pairs (QDQ), which every execution provider understands. Inputs and outputs stay floats.
* ``fp16``: weights and arithmetic in half precision; inputs and outputs stay floats.

https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import onnx

from converters.interface import MAIN_FILE, ConvertOptions, main_file, refused
from converters.parity.executors.onnx import OnnxModel
from converters.quantization.samples import calibration_of, refusing, samples
from core.tensors import Array

_DYNAMIC_OPS: Final = ("MatMul", "Gemm", "Gather", "Attention", "EmbedLayerNormalization", "LSTM")
_PRODUCTS: Final = frozenset({"MatMul", "Gemm", "Attention", "LSTM", "EmbedLayerNormalization"})
# Tried in turn. A Cast to float stays one, which onnxconverter-common 1.16 overlooks where it calls the result half;
# onnxruntime 1.32 (NchwcTransformer) crashes on transposes and products of some attention blocks in fp16.
_KEPT_IN_FP32: Final = (("Cast",), ("Cast", "Transpose"), ("Cast", "Mul"), ("Cast", "Transpose", "Mul"))
_LOAD: Final = "import sys, onnxruntime as o; o.InferenceSession(sys.argv[1], providers=['CPUExecutionProvider'])"
_ROWS: Final = 8  # of one execution while calibrating, where the model takes any number


def dynamic(source: Path, target: Path, options: ConvertOptions) -> None:
    """fp32 to ``int8dyn``; see :meth:`converters.interface.Recipe.convert`."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    step = "onnx_to_int8dyn"
    prepared = _prepared(source, options, step=step)
    found = {node.op_type for node in onnx.load(prepared, load_external_data=False).graph.node}
    if not found & _PRODUCTS:
        raise refused("it has no matrix product; dynamic quantization would change nothing. Use int8.", step=step)
    with refusing(step):
        quantize_dynamic(
            prepared,
            target / MAIN_FILE["onnx"],
            op_types_to_quantize=list(_DYNAMIC_OPS),
            per_channel=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )


def static(source: Path, target: Path, options: ConvertOptions) -> None:
    """fp32 to ``int8``; see :meth:`converters.interface.Recipe.convert`."""
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    step = "onnx_to_int8"
    prepared = _prepared(source, options, step=step)
    with refusing(step):
        quantize_static(
            prepared,
            target / MAIN_FILE["onnx"],
            _reader(prepared, options, step=step),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


def float16(source: Path, target: Path, _options: ConvertOptions) -> None:
    """fp32 to ``fp16``; see :meth:`converters.interface.Recipe.convert`."""
    from onnxconverter_common.float16 import DEFAULT_OP_BLOCK_LIST, convert_float_to_float16

    step, result = "onnx_to_fp16", target / MAIN_FILE["onnx"]
    path = main_file(source, (".onnx",), step=step)
    for kept in _KEPT_IN_FP32:
        with refusing(step):
            blocked = [*DEFAULT_OP_BLOCK_LIST, *kept]
            onnx.save(convert_float_to_float16(onnx.load(path), keep_io_types=True, op_block_list=blocked), result)
        if _loads(result):
            return
    raise refused("onnxruntime does not load the half-precision model.", step=step)


def _loads(path: Path) -> bool:
    """Whether onnxruntime opens a model, tried in a process of its own: 1.32 crashes on some in half precision."""
    ended = subprocess.run(  # noqa: S603 -- our own interpreter and code
        [sys.executable, "-P", "-c", _LOAD, str(path)], stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return ended.returncode == 0


def _prepared(source: Path, options: ConvertOptions, *, step: str) -> Path:
    """The model with every shape inferred and constants folded, as quantization wants it."""
    from onnxruntime.quantization.shape_inference import quant_pre_process

    path, prepared = main_file(source, (".onnx",), step=step), options.scratch / "prepared.onnx"
    with refusing(step):
        quant_pre_process(path, prepared, skip_symbolic_shape=True)
        _flatten_biases(prepared)
    return prepared


def _flatten_biases(path: Path) -> None:
    """Makes Gemm's biases of shape [1, N], as skl2onnx writes them, to [N], which means the same there.

    onnxruntime 1.32 takes the first dimension of a bias for that of its channels and fails.
    """
    model = onnx.load(path, load_external_data=False)
    biases, others = set[str](), {value.name for value in model.graph.input}
    for node in model.graph.node:
        added = set(node.input[2:]) if node.op_type == "Gemm" else set()
        biases |= added
        others |= set(node.input) - added
    flat = [each for each in model.graph.initializer if each.name in biases - others and list(each.dims)[:-1] == [1]]
    for initializer in flat:
        del initializer.dims[0]
    if flat:
        onnx.save(model, path)


def _reader(path: Path, options: ConvertOptions, *, step: str) -> Any:
    from onnxruntime.quantization import CalibrationDataReader

    signature = OnnxModel(path).signature
    calibration = calibration_of(options, signature, step=step)

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """What onnxruntime pulls calibration inputs from."""

        def __init__(self) -> None:
            self._left: Iterator[dict[str, Array]] = samples(
                calibration, options.signature or signature, signature, free=_ROWS
            )

        def get_next(self) -> dict[str, Array] | None:
            return next(self._left, None)

    return Reader()
