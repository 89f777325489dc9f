# SPDX-License-Identifier: Apache-2.0
"""Models for runner tests, built in code with TensorFlow. Their weights are random or fixed: they are synthetic."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from core.tensors import Array

CLASSES = 1001


class Linear(tf.Module):  # type: ignore[misc] # tensorflow is not followed
    """``y = x @ w``, with a second signature ``twice``."""

    def __init__(self, weights: Array) -> None:
        super().__init__()
        self.w = tf.Variable(weights)

        spec = [tf.TensorSpec([None, weights.shape[0]], tf.float32, name="x")]
        self.once = tf.function(lambda x: {"y": tf.matmul(x, self.w)}, input_signature=spec)
        self.twice = tf.function(lambda x: {"y": 2.0 * tf.matmul(x, self.w)}, input_signature=spec)


def saved_model(weights: Array, folder: Path) -> dict[str, bytes]:
    """The files of a SavedModel of :class:`Linear`."""
    module = Linear(weights)
    signatures = {"serving_default": module.once, "twice": module.twice}
    tf.saved_model.save(module, str(folder), signatures=signatures)
    return files_of(folder)


def files_of(folder: Path) -> dict[str, bytes]:
    """Every file below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def linear_tflite(weights: Array, *, batches: Sequence[int | None] = (None,), width: int = 4) -> bytes:
    """``y = x @ w`` as a TFLite file with one signature per batch size; None: any."""
    module = tf.Module()
    module.w = tf.Variable(weights)

    def compute(x: Any) -> dict[str, Any]:
        return {"y": tf.matmul(x, module.w)}

    functions = [
        tf.function(compute).get_concrete_function(tf.TensorSpec([rows, width], tf.float32, name="x"))
        for rows in batches
    ]
    if len(functions) == 1:
        converter = tf.lite.TFLiteConverter.from_concrete_functions(functions, module)
        return bytes(converter.convert())
    return _several(module, dict(zip((f"batch_{rows}" for rows in batches), functions, strict=True)))


def _several(module: Any, signatures: dict[str, Any]) -> bytes:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        tf.saved_model.save(module, folder, signatures=signatures)
        converter = tf.lite.TFLiteConverter.from_saved_model(folder, signature_keys=list(signatures))
        return bytes(converter.convert())


def dense(units: Sequence[int] = (64, 32, 10)) -> Any:
    """A small Keras network with random weights from a fixed seed."""
    tf.keras.utils.set_random_seed(7)
    layers = [tf.keras.layers.Dense(width, activation="relu") for width in units[:-1]]
    return tf.keras.Sequential([tf.keras.Input((16,)), *layers, tf.keras.layers.Dense(units[-1])])


def quantized(model: Any, how: str) -> bytes:
    """A Keras model as TFLite: ``fp32``, ``fp16``, ``int8dyn``, ``int8`` (integers in and out), ``int8w16a``."""
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    if how == "fp32":
        return bytes(converter.convert())
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    if how == "fp16":
        converter.target_spec.supported_types = [tf.float16]
    elif how != "int8dyn":
        converter.representative_dataset = lambda: samples(model.input_shape[1:])
        converter.target_spec.supported_ops = [
            tf.lite.OpsSet.TFLITE_BUILTINS_INT8
            if how == "int8"
            else tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
        ]
        kind = tf.int8 if how == "int8" else tf.int16
        converter.inference_input_type = converter.inference_output_type = kind
    return bytes(converter.convert())


def samples(shape: Sequence[int]) -> Iterator[list[Array]]:
    """Calibration data."""
    random = np.random.default_rng(3)
    for _ in range(50):
        yield [random.uniform(-1, 1, (1, *shape)).astype(np.float32)]


def mobilenet() -> bytes:
    """Five of MobileNetV2's inverted residual blocks with random weights, [1, 224, 224, 3] -> [1, 1001], as TFLite."""
    random = np.random.default_rng(7)

    def weights(*shape: int) -> Array:
        values: Array = random.normal(size=shape) * np.sqrt(2 / np.prod(shape[:-1]))
        return values.astype(np.float32)

    def block(x: Any, channels: int) -> Any:
        wide = 6 * x.shape[-1]
        x = tf.nn.relu6(tf.nn.conv2d(x, weights(1, 1, x.shape[-1], wide), 1, "SAME"))
        x = tf.nn.relu6(tf.nn.depthwise_conv2d(x, weights(3, 3, wide, 1), (1, 2, 2, 1), "SAME"))
        return tf.nn.conv2d(x, weights(1, 1, wide, channels), 1, "SAME")

    @tf.function(input_signature=[tf.TensorSpec([1, 224, 224, 3], tf.float32, name="input")])  # type: ignore[untyped-decorator]
    def compute(image: Any) -> dict[str, Any]:
        x = tf.nn.relu6(tf.nn.conv2d(image, weights(3, 3, 3, 8), 2, "SAME"))
        for channels in (8, 16, 24, 32, 64):
            x = block(x, channels)
        logits = tf.matmul(tf.reduce_mean(x, (1, 2)), weights(64, CLASSES))
        return {"MobilenetV2/Predictions/Reshape_1": tf.nn.softmax(logits)}

    converter = tf.lite.TFLiteConverter.from_concrete_functions([compute.get_concrete_function()], tf.Module())
    return bytes(converter.convert())
