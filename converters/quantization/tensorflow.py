# SPDX-License-Identifier: Apache-2.0
"""SavedModels converted to TFLite and quantized in one step by TFLiteConverter, which knows the graph before it is lowered.

The precisions are those of :mod:`converters.quantization.tflite`. Float inputs and outputs become int8 or int16 in the
calibrated ones; a model with other inputs, such as token ids, keeps its own.
https://ai.google.dev/edge/litert/models/post_training_quantization
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from converters.interface import MAIN_FILE, ConvertOptions, refused
from converters.parity.executors.tensorflow import open_saved_model, saved_model_in
from converters.quantization.samples import calibration_of, refusing, samples
from core.tensors import Array, DType, Signature


def dynamic(source: Path, target: Path, _options: ConvertOptions) -> None:
    """To ``int8dyn``; see :meth:`converters.interface.Recipe.convert`."""
    _convert(source, target, lambda _converter: None, step="saved_model_to_tflite_int8dyn")


def float16(source: Path, target: Path, _options: ConvertOptions) -> None:
    """To ``fp16``; see :meth:`converters.interface.Recipe.convert`."""
    import tensorflow as tf

    def halve(converter: Any) -> None:
        converter.target_spec.supported_types = [tf.float16]

    _convert(source, target, halve, step="saved_model_to_tflite_fp16")


def static(source: Path, target: Path, options: ConvertOptions) -> None:
    """To ``int8``; see :meth:`converters.interface.Recipe.convert`."""
    import tensorflow as tf

    _calibrated(source, target, options, ops=tf.lite.OpsSet.TFLITE_BUILTINS_INT8, edge=tf.int8)


def static16(source: Path, target: Path, options: ConvertOptions) -> None:
    """To ``int8w16a``; see :meth:`converters.interface.Recipe.convert`."""
    import tensorflow as tf

    ops = tf.lite.OpsSet.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    _calibrated(source, target, options, ops=ops, edge=tf.int16)


def _calibrated(source: Path, target: Path, options: ConvertOptions, *, ops: Any, edge: Any) -> None:
    step = "saved_model_to_tflite_int8" if "16" not in edge.name else "saved_model_to_tflite_int8w16a"
    model = open_saved_model(source)
    signature = model.signature
    model.close()
    whole = [spec for spec in signature.inputs if spec.dtype is not DType.FP32]
    if "16" in edge.name and whole:
        found = f"input {whole[0].name!r} is {whole[0].dtype.oip}"
        raise refused(f"{found}; TFLiteConverter finds 16-bit ranges of FP32 inputs only. Take int8.", step=step)
    calibration = calibration_of(options, signature, step=step)

    def rows() -> Iterator[dict[str, Array]]:
        yield from samples(calibration, options.signature or signature, signature)

    def calibrate(converter: Any) -> None:
        converter.representative_dataset = rows
        converter.target_spec.supported_ops = [ops]
        if _all_floats(signature):
            converter.inference_input_type = converter.inference_output_type = edge

    _convert(source, target, calibrate, step=step)


def _convert(source: Path, target: Path, prepare: Callable[[Any], None], *, step: str) -> None:
    import tensorflow as tf

    from converters.recipes.saved_model import SIGNATURE, frozen

    folder = frozen(saved_model_in(source), step=step)
    with refusing(step):
        converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=[SIGNATURE])
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        prepare(converter)
        result = converter.convert()
    (target / MAIN_FILE["tflite"]).write_bytes(result)


def _all_floats(signature: Signature) -> bool:
    return all(spec.dtype is DType.FP32 for spec in (*signature.inputs, *signature.outputs))
