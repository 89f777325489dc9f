# SPDX-License-Identifier: Apache-2.0
"""SavedModel folders and ``.keras`` files in TensorFlow.

A ``.keras`` file is loaded in Keras's safe mode: Lambda layers, which carry marshalled code, are refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from converters.parity.interface import Range, only_file, sizes_of
from core.errors import ErrorCode, ModelError
from core.tensors import ANY, Array, Signature, TensorSpec, dtype_from_numpy

DEFAULT_SIGNATURE: Final = "serving_default"


class SavedModel:
    """One signature of a SavedModel."""

    ranges: Mapping[str, Range] = {}

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        self.runtime = ("tensorflow", str(tf.__version__))
        self._constant = tf.constant
        try:
            self._loaded: Any = tf.saved_model.load(str(folder))
            function = self._loaded.signatures[DEFAULT_SIGNATURE]
        except (OSError, ValueError, KeyError, tf.errors.OpError) as error:
            reason = " ".join(str(error).split())[:400]
            raise ModelError(ErrorCode.MODEL_INVALID, f"TensorFlow refuses the model: {reason}") from None
        self._function: Any = function
        self.signature = Signature(
            inputs=_specs(function.structured_input_signature[1]), outputs=_specs(function.structured_outputs)
        )
        self.sizes = sizes_of(self.signature)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        feed = {spec.name: self._constant(inputs[spec.name]) for spec in self.signature.inputs}
        return {name: np.asarray(value) for name, value in self._function(**feed).items()}

    def close(self) -> None:
        self._function = self._loaded = None


class KerasModel:
    """One Keras model, called."""

    ranges: Mapping[str, Range] = {}

    def __init__(self, path: Path, signature: Signature) -> None:
        import keras

        self.runtime = ("keras", str(keras.__version__))
        self.signature = signature
        self.sizes = sizes_of(signature)
        try:
            self._model: Any = keras.saving.load_model(path, compile=False, safe_mode=True)
        except (OSError, ValueError, TypeError, KeyError) as error:
            reason = " ".join(str(error).split())[:400]
            raise ModelError(ErrorCode.MODEL_INVALID, f"Keras refuses the model: {reason}") from None
        self._flatten, self._numpy = keras.tree.flatten, keras.ops.convert_to_numpy
        self._order = _order([tensor.name for tensor in self._model.inputs], signature)

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        tensors = [inputs[name] for name in self._order]
        structure = self._model.input if isinstance(self._model.input, dict) else None
        feed: Any = dict(zip(structure, tensors, strict=True)) if structure else tensors
        results = self._flatten(self._model(feed if structure or len(tensors) > 1 else tensors[0], training=False))
        names = [spec.name for spec in self.signature.outputs]
        return {name: self._numpy(value) for name, value in zip(names, results, strict=True)}

    def close(self) -> None:
        self._model = None


def open_saved_model(folder: Path, _: Signature | None = None) -> SavedModel:
    """Opens the SavedModel in a folder.

    Raises:
        ModelError: ``MODEL_003`` if there is not exactly one, or TensorFlow refuses it.
    """
    return SavedModel(saved_model_in(folder))


def saved_model_in(folder: Path) -> Path:
    """Where the SavedModel lies: in the folder itself, or anywhere below if there is only one.

    Raises:
        ModelError: ``MODEL_003`` if there is not exactly one.
    """
    found = sorted(folder.rglob("saved_model.pb"))
    if len(found) != 1:
        raise ModelError(ErrorCode.MODEL_INVALID, f"The model has {len(found)} saved_model.pb files; expected one.")
    return found[0].parent


def open_keras(folder: Path, signature: Signature | None = None) -> KerasModel:
    """Opens the only ``.keras`` file of a folder.

    Raises:
        ModelError: ``MODEL_003`` if there is not exactly one, Keras refuses it, or its signature is not known.
    """
    if signature is None:
        raise ModelError(ErrorCode.MODEL_INVALID, "A .keras model is compared by the signature of its manifest.")
    return KerasModel(only_file(folder, ".keras"), signature)


def _order(names: list[str], signature: Signature) -> list[str]:
    """The signature's inputs as the model wants them: by name, else in the signature's own order."""
    declared = [spec.name for spec in signature.inputs]
    return names if set(names) == set(declared) else declared


def _specs(tensors: Mapping[str, Any]) -> tuple[TensorSpec, ...]:
    return tuple(
        TensorSpec(
            name=name,
            dtype=dtype_from_numpy(np.dtype(each.dtype.as_numpy_dtype)),
            shape=tuple(ANY if size is None else int(size) for size in each.shape),
        )
        for name, each in tensors.items()
    )
