# SPDX-License-Identifier: Apache-2.0
"""TFLite files quantized by ai-edge-quantizer, whatever they were converted from.

* ``int8dyn``: int8 weights per channel; kernels quantize activations as they come (dynamic range).
* ``fp16``: weights in half precision, arithmetic in float.
* ``int8``: int8 weights per channel and int8 activations, inputs and outputs too; calibrated.
* ``int8w16a``: int8 weights, int16 activations; calibrated. Exact and slow: kernels for it are not optimized.

Each signature of a file is a graph of its own and is calibrated with its own number of rows.
https://github.com/google-ai-edge/ai-edge-quantizer
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from ai_edge_litert.interpreter import Interpreter
from ai_edge_quantizer import algorithm_manager, qtyping, quantizer, recipe

from converters.interface import MAIN_FILE, ConvertOptions, main_file, refused
from converters.parity.executors.tflite import signature_of
from converters.quantization.samples import calibration_of, refusing, samples
from core.tensors import Array

_EVERYTHING: Final = ".*"


def dynamic(source: Path, target: Path, options: ConvertOptions) -> None:
    """fp32 to ``int8dyn``; see :meth:`converters.interface.Recipe.convert`."""
    _quantize(source, target, options, recipe.dynamic_wi8_afp32(), step="tflite_to_int8dyn")


def static(source: Path, target: Path, options: ConvertOptions) -> None:
    """fp32 to ``int8``; see :meth:`converters.interface.Recipe.convert`."""
    _quantize(source, target, options, recipe.static_wi8_ai8(), step="tflite_to_int8")


def static16(source: Path, target: Path, options: ConvertOptions) -> None:
    """fp32 to ``int8w16a``; see :meth:`converters.interface.Recipe.convert`."""
    _quantize(source, target, options, recipe.static_wi8_ai16(), step="tflite_to_int8w16a")


def float16(source: Path, target: Path, options: ConvertOptions) -> None:
    """fp32 to ``fp16``; see :meth:`converters.interface.Recipe.convert`."""
    half = qtyping.OpQuantizationConfig(
        weight_tensor_config=qtyping.TensorQuantizationConfig(num_bits=16, dtype=qtyping.TensorDataType.FLOAT),
        compute_precision=qtyping.ComputePrecision.FLOAT,
        explicit_dequantize=True,
    )
    chosen = [
        {
            "regex": _EVERYTHING,
            "operation": qtyping.TFLOperationName.ALL_SUPPORTED,
            "algorithm_key": algorithm_manager.AlgorithmName.FLOAT_CASTING,
            "op_config": half.to_dict(),
        }
    ]
    _quantize(source, target, options, chosen, step="tflite_to_fp16")


def _quantize(source: Path, target: Path, options: ConvertOptions, chosen: Any, *, step: str) -> None:
    path = main_file(source, (".tflite",), step=step)
    with refusing(step):
        work = quantizer.Quantizer(str(path), chosen)
        ranges = work.calibrate(_calibration(path, options, step=step)) if work.need_calibration else None
        result = bytes(work.quantize(ranges).quantized_model)
    (target / MAIN_FILE["tflite"]).write_bytes(result)


def _calibration(path: Path, options: ConvertOptions, *, step: str) -> dict[str, list[dict[str, Array]]]:
    """Calibration inputs by signature."""
    interpreter = Interpreter(model_path=str(path), num_threads=1)
    keys = sorted(interpreter.get_signature_list())
    if not keys:
        raise refused("it declares no signature, so that its inputs cannot be named; convert it anew.", step=step)
    signatures = {key: signature_of(interpreter, key) for key in keys}
    calibration = calibration_of(options, signatures[keys[0]], step=step)
    return {
        key: list(samples(calibration, options.signature or signature, signature))
        for key, signature in signatures.items()
    }
