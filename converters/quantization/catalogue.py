# SPDX-License-Identifier: Apache-2.0
"""The quantization recipes, as rows of the catalogue. Nothing heavy is imported to list them."""

from __future__ import annotations

from typing import Final

from converters.lazy import LazyRecipe

CALIBRATED: Final = frozenset({"int8", "int8w16a"})
"""Precisions that need calibration data."""

_ONNX: Final = ("onnx", "onnxruntime")
_TENSORFLOW: Final = ("tensorflow-cpu|tensorflow",)
_LITERT: Final = ("ai-edge-quantizer", "ai-edge-litert")


def _row(name: str, formats: tuple[str, str], precision: str, needs: tuple[str, ...], cost_s: float) -> LazyRecipe:
    module, function = name.split(":")
    source, target = formats
    return LazyRecipe(
        name=f"{source}_to_{precision}" if source == target else f"{source}_to_{target}_{precision}",
        source=source,
        target=target,
        dynamic_batch=True,
        cost_s=cost_s,
        needs=needs,
        work=f"converters.quantization.{module}:{function}",
        kind="quantize",
        precision=precision,
    )


QUANTIZE: Final[tuple[LazyRecipe, ...]] = (
    _row("onnx:dynamic", ("onnx", "onnx"), "int8dyn", _ONNX, 1.0),
    _row("onnx:static", ("onnx", "onnx"), "int8", _ONNX, 4.0),
    _row("onnx:float16", ("onnx", "onnx"), "fp16", ("onnx", "onnxconverter-common"), 1.0),
    _row("tflite:dynamic", ("tflite", "tflite"), "int8dyn", _LITERT, 1.0),
    _row("tflite:float16", ("tflite", "tflite"), "fp16", _LITERT, 1.0),
    _row("tflite:static", ("tflite", "tflite"), "int8", _LITERT, 3.0),
    _row("tflite:static16", ("tflite", "tflite"), "int8w16a", _LITERT, 3.0),
    _row("tensorflow:dynamic", ("saved_model", "tflite"), "int8dyn", _TENSORFLOW, 4.0),
    _row("tensorflow:float16", ("saved_model", "tflite"), "fp16", _TENSORFLOW, 4.0),
    _row("tensorflow:static", ("saved_model", "tflite"), "int8", _TENSORFLOW, 6.0),
    _row("tensorflow:static16", ("saved_model", "tflite"), "int8w16a", _TENSORFLOW, 6.0),
)
"""Every step that changes the precision. Those of ``saved_model`` change the format as well."""
