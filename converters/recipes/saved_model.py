# SPDX-License-Identifier: Apache-2.0
"""SavedModels, read and written: one serving signature with named tensors, whatever framework it comes from."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import tensorflow as tf
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from converters.interface import ConvertOptions, refused
from converters.sources.keras import factory_model, keras_model, named_outputs, specs_of
from core.tensors import ANY, TensorSpec

SIGNATURE: Final = "serving_default"


def from_keras(source: Path, target: Path, _options: ConvertOptions) -> None:
    """Converts a ``.keras`` archive; see :meth:`converters.interface.Recipe.convert`."""
    write_keras(keras_model(source), target)


def from_factory(source: Path, target: Path, _options: ConvertOptions) -> None:
    """Converts a factory of framework keras; see :meth:`converters.interface.Recipe.convert`."""
    write_keras(factory_model(source), target)


def write_keras(model: Any, target: Path) -> None:
    """Writes a Keras model as SavedModel, its tensors named as :mod:`converters.sources.keras` names them."""
    specs = specs_of(model)

    def call(**inputs: Any) -> dict[str, Any]:
        return named_outputs(model, [inputs[spec.name] for spec in specs])

    write(call, specs, target, holder=model)


def write(
    call: Callable[..., Mapping[str, Any]], specs: Sequence[TensorSpec], target: Path, *, holder: Any = None
) -> None:
    """Writes a function of named tensors as a SavedModel with one signature.

    Args:
        call: Takes the inputs by name and gives the outputs by name.
        specs: Of the inputs.
        target: Empty folder.
        holder: What owns the variables that ``call`` uses; None: nothing does.
    """
    wanted = {spec.name: tensor_spec(spec) for spec in specs}
    function = tf.function(call, autograph=False).get_concrete_function(**wanted)
    module = tf.Module()
    module.held = holder
    tf.saved_model.save(module, str(target), signatures={SIGNATURE: function})


def tensor_spec(spec: TensorSpec) -> tf.TensorSpec:
    """The TensorFlow form of an input."""
    shape = [None if size == ANY else size for size in spec.shape]
    return tf.TensorSpec(shape, tf.as_dtype(spec.dtype.numpy), name=spec.name)


def load(folder: Path, *, step: str) -> Any:
    """The serving signature of a SavedModel, as a function of named tensors; it keeps the model alive.

    Raises:
        ModelError: ``MODEL_003`` if it cannot be read, has no such signature, or a tensor the protocol cannot carry.
    """
    try:
        model = tf.saved_model.load(str(folder))
    except Exception as error:
        raise refused(f"TensorFlow cannot read it: {str(error).splitlines()[0][:300]}", step=step) from error
    if SIGNATURE not in model.signatures:
        found = ", ".join(model.signatures) or "none"
        raise refused(f"it has no signature {SIGNATURE!r}; it has {found}.", step=step)
    function = model.signatures[SIGNATURE]
    function.furoshiki_model = model  # variables live as long as the model does
    return function


def frozen(folder: Path, *, step: str) -> Path:
    """The serving signature of a SavedModel as a SavedModel of its own, its variables constants.

    TFLiteConverter keeps variables that it takes for mutable as resources, which nothing initializes in a TFLite runtime.

    Returns:
        A new folder among the temporary files.

    Raises:
        ModelError: As :func:`load`.
    """
    signature = load(folder, step=step)
    specs, names = input_specs(signature), list(signature.structured_outputs)
    constant = convert_variables_to_constants_v2(signature)

    def call(**tensors: Any) -> dict[str, Any]:
        given = constant(**tensors)
        return dict(given) if isinstance(given, Mapping) else dict(zip(names, tf.nest.flatten(given), strict=True))

    wanted = {name: tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in specs.items()}
    made = Path(tempfile.mkdtemp(prefix="frozen-"))
    function = tf.function(call, autograph=False).get_concrete_function(**wanted)
    tf.saved_model.save(tf.Module(), str(made), signatures={SIGNATURE: function})
    return made


def input_specs(function: Any) -> dict[str, tf.TensorSpec]:
    """The inputs of a serving signature by name."""
    return dict(function.structured_input_signature[1])
