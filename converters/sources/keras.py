# SPDX-License-Identifier: Apache-2.0
"""Keras models: a ``.keras`` archive, read in safe mode (no code within it is run), or a factory of framework keras."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np

from converters.archives import check_archive
from converters.interface import main_file, refused
from converters.sources.factory import build, check_numbers, weights
from core.tensors import ANY, Signature, TensorSpec, dtype_from_numpy

STEP: Final = "keras"


def keras_model(folder: Path) -> Any:
    """Loads the archive in a folder.

    Raises:
        ModelError: ``MODEL_003`` if it is a zip bomb, is refused by Keras (a Lambda layer, an unknown class), or has NaN
            weights.
    """
    path = main_file(folder, (".keras",), step=STEP)
    check_archive(path, step=STEP)
    try:
        model = keras.models.load_model(path, compile=False, safe_mode=True)
    except Exception as error:
        raise refused(f"Keras cannot load it: {_first(error)}", step=STEP) from error
    check_numbers({weight.path: np.asarray(weight.value) for weight in model.weights}, step=STEP)
    return _functional(model)


def factory_model(folder: Path) -> Any:
    """Builds the model of a factory and gives it its weights.

    Raises:
        ModelError: ``MODEL_003`` if it cannot be built, or the weights are not its own.
    """
    model, given = build(folder), weights(folder)
    if not isinstance(model, keras.Model):
        raise refused(f"build() gave a {type(model).__name__}; expected a keras.Model.", step=STEP)
    wanted = {weight.path: weight for weight in model.weights}
    if set(wanted) != set(given):
        odd = sorted(set(wanted) ^ set(given))[:5]
        raise refused(f"weights.safetensors and the model differ in {', '.join(odd)}.", step=STEP)
    for path, weight in wanted.items():
        weight.assign(given[path])
    return _functional(model)


def specs_of(model: Any) -> tuple[TensorSpec, ...]:
    """The inputs of a model, named after its input layers."""
    return tuple(_spec(tensor, tensor.name) for tensor in model.inputs)


def output_names(model: Any) -> tuple[str, ...]:
    """The names of a model's outputs: those of a dictionary, else of the layers that give them, numbered if they repeat."""
    structure = getattr(model, "_outputs_struct", None)
    if isinstance(structure, dict):
        return tuple(sorted(structure))
    layers = [tensor._keras_history.operation.name for tensor in model.outputs]
    return tuple(name if layers.count(name) == 1 else f"{name}_{index}" for index, name in enumerate(layers))


def named_outputs(model: Any, tensors: Sequence[Any]) -> dict[str, Any]:
    """Runs a model for inference; its outputs by name."""
    given = model(_arranged(model, tensors), training=False)
    if isinstance(given, dict):
        return {name: given[name] for name in sorted(given)}
    values = list(given) if isinstance(given, tuple | list) else [given]
    return dict(zip(output_names(model), values, strict=True))


def _arranged(model: Any, tensors: Sequence[Any]) -> Any:
    structure = getattr(model, "_inputs_struct", None)
    if isinstance(structure, dict):
        by_name = dict(zip((tensor.name for tensor in model.inputs), tensors, strict=True))
        return {key: by_name[tensor.name] for key, tensor in structure.items()}
    return tensors[0] if len(tensors) == 1 else list(tensors)


def _functional(model: Any) -> Any:
    if not getattr(model, "inputs", None):
        raise refused("its inputs are not known; build it with keras.Input.", step=STEP)
    return model


def _spec(tensor: Any, name: str) -> TensorSpec:
    shape = tuple(ANY if size is None else size for size in tensor.shape)
    return TensorSpec(name=name, dtype=dtype_from_numpy(np.dtype(tensor.dtype)), shape=shape)


def _first(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]


def signature_of_model(model: Any) -> Signature:
    """The tensors of a model."""
    outputs = _flat_outputs(model)
    names = output_names(model)
    return Signature(
        inputs=specs_of(model), outputs=tuple(_spec(tensor, name) for name, tensor in zip(names, outputs, strict=True))
    )


def _flat_outputs(model: Any) -> list[Any]:
    structure = getattr(model, "_outputs_struct", None)
    return [structure[name] for name in sorted(structure)] if isinstance(structure, dict) else list(model.outputs)
