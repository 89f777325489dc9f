# SPDX-License-Identifier: Apache-2.0
"""The conversion recipes, as rows of the catalogue. Nothing heavy is imported to list them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from converters.environments import onnx2tf
from converters.lazy import LazyRecipe

_TENSORFLOW: Final = ("tensorflow-cpu|tensorflow", "keras")

RECIPES: Final[tuple[LazyRecipe, ...]] = (
    LazyRecipe(
        name="torch_export_to_onnx",
        source="torch_export",
        target="onnx",
        dynamic_batch=True,
        cost_s=12.0,
        needs=("torch", "onnx", "onnxscript"),
        work="converters.recipes.torch_onnx:from_program",
    ),
    LazyRecipe(
        name="torchscript_to_onnx",
        source="torchscript",
        target="onnx",
        dynamic_batch=True,
        cost_s=5.0,
        needs=("torch", "onnx"),
        work="converters.recipes.torch_onnx:from_script",
    ),
    LazyRecipe(
        name="torch_export_to_tflite",
        source="torch_export",
        target="tflite",
        dynamic_batch=False,
        cost_s=12.0,
        needs=("torch", "litert-torch", "litert-converter"),
        work="converters.recipes.torch_tflite:from_program",
    ),
    LazyRecipe(
        name="factory_torch_to_torch_export",
        source="factory(torch)",
        target="torch_export",
        dynamic_batch=True,
        cost_s=4.0,
        needs=("torch", "safetensors"),
        work="converters.sources.torch:to_program",
    ),
    LazyRecipe(
        name="keras_to_saved_model",
        source="keras",
        target="saved_model",
        dynamic_batch=True,
        cost_s=3.0,
        needs=_TENSORFLOW,
        work="converters.recipes.saved_model:from_keras",
    ),
    LazyRecipe(
        name="factory_keras_to_saved_model",
        source="factory(keras)",
        target="saved_model",
        dynamic_batch=True,
        cost_s=3.0,
        needs=(*_TENSORFLOW, "safetensors"),
        work="converters.recipes.saved_model:from_factory",
    ),
    LazyRecipe(
        name="saved_model_to_tflite",
        source="saved_model",
        target="tflite",
        dynamic_batch=True,
        cost_s=4.0,
        needs=_TENSORFLOW,
        work="converters.recipes.tensorflow_lite:from_saved_model",
    ),
    LazyRecipe(
        name="saved_model_to_onnx",
        source="saved_model",
        target="onnx",
        dynamic_batch=True,
        cost_s=4.0,
        needs=(*_TENSORFLOW, "tf2onnx", "onnx"),
        work="converters.recipes.tensorflow_onnx:from_saved_model",
    ),
    LazyRecipe(
        name="factory_flax_to_jax_export",
        source="factory(flax)",
        target="jax_export",
        dynamic_batch=True,
        cost_s=4.0,
        needs=("jax", "flax", "safetensors"),
        work="converters.sources.flax:to_export",
    ),
    LazyRecipe(
        name="factory_flax_to_onnx",
        source="factory(flax)",
        target="onnx",
        dynamic_batch=True,
        cost_s=10.0,
        needs=("jax", "flax", "jax2onnx", "onnx", "safetensors"),
        work="converters.recipes.jax_onnx:from_factory",
    ),
    LazyRecipe(
        name="jax_export_to_tflite",
        source="jax_export",
        target="tflite",
        dynamic_batch=False,
        cost_s=10.0,
        needs=("jax", *_TENSORFLOW),
        work="converters.recipes.jax_tflite:from_export",
    ),
    LazyRecipe(
        name="onnx_to_tflite",
        source="onnx",
        target="tflite",
        dynamic_batch=True,
        cost_s=25.0,
        needs=("onnx", "ai-edge-litert", "flatbuffers"),
        work="converters.recipes.onnx_tflite:from_onnx",
        environment=onnx2tf.available,
    ),
    LazyRecipe(
        name="factory_sklearn_to_onnx",
        source="factory(sklearn)",
        target="onnx",
        dynamic_batch=True,
        cost_s=2.0,
        needs=("scikit-learn", "skl2onnx", "onnx", "safetensors"),
        work="converters.recipes.sklearn_onnx:from_factory",
    ),
)

HOLES: Final[Mapping[tuple[str, str], str]] = {
    ("factory(sklearn)", "tflite"): "scikit-learn models become operations of ai.onnx.ml, which TFLite does not have.",
    ("jax_export", "onnx"): (
        "jax2onnx reads the traced function, which a jax.export file does not hold; push a factory of framework flax."
    ),
}
"""Pairs that nothing connects, or recipes only seem to, for a reason worth telling."""
