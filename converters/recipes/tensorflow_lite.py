# SPDX-License-Identifier: Apache-2.0
"""SavedModel to TFLite by TensorFlow's own converter. Batches of any size stay so; variables become constants.

Only built-in operations are used: a model with others (``Select TF``, custom) would load nowhere but beside TensorFlow.
"""

from __future__ import annotations

from pathlib import Path

import tensorflow as tf

from converters.interface import MAIN_FILE, ConvertOptions, refused
from converters.recipes.saved_model import SIGNATURE, frozen

STEP = "saved_model_to_tflite"


def from_saved_model(source: Path, target: Path, _options: ConvertOptions) -> None:
    """Converts; see :meth:`converters.interface.Recipe.convert`."""
    (target / MAIN_FILE["tflite"]).write_bytes(lite(source))


def lite(folder: Path) -> bytes:
    """The TFLite model of a SavedModel's serving signature, in fp32.

    Raises:
        ModelError: ``MODEL_003`` naming the operations that TFLite does not have.
    """
    folder = frozen(folder, step=STEP)
    return convert(tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=[SIGNATURE]))


def convert(converter: tf.lite.TFLiteConverter) -> bytes:
    """Runs a converter with built-in operations only.

    Raises:
        ModelError: ``MODEL_003`` naming the operations that TFLite does not have.
    """
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    try:
        model: bytes = converter.convert()
    except Exception as error:
        raise refused(_reason(str(error)), step=STEP) from error
    return model


def _reason(text: str) -> str:
    """The line that names operations, where there is one; the converter's messages are pages long."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    naming = [line for line in lines if line.startswith(("TF Select ops:", "Custom ops:", "Flex ops:"))]
    return "; ".join(naming)[:500] if naming else (lines[0][:500] if lines else "no reason given.")
