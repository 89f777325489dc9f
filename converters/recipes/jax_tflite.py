# SPDX-License-Identifier: Apache-2.0
"""``jax.export`` files to TFLite by jax2tf: one signature per batch size, weights shared.

One signature for any batch size works too, five to eight times slower to run: so there is one per size.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import tensorflow as tf
from jax.experimental import jax2tf

from converters.interface import MAIN_FILE, ConvertOptions, refused
from converters.recipes.saved_model import tensor_spec
from converters.recipes.tensorflow_lite import convert
from converters.sources.flax import exported, exported_signature
from core.tensors import ANY, Signature, TensorSpec

STEP = "jax_export_to_tflite"


def from_export(source: Path, target: Path, options: ConvertOptions) -> None:
    """Converts; see :meth:`converters.interface.Recipe.convert`."""
    loaded = exported(source)
    own = exported_signature(loaded)
    signature = own if options.signature is None else _named(own, options.signature)
    free = any(spec.shape[:1] == (ANY,) for spec in signature.inputs)
    functions = {}
    for rows in options.batches if free else (0,):
        functions[f"batch_{rows}" if rows else "serving_default"] = _function(loaded, signature, rows)
    folder = options.scratch / "saved_model"
    tf.saved_model.save(tf.Module(), str(folder), signatures=functions)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder), signature_keys=list(functions))
    (target / MAIN_FILE["tflite"]).write_bytes(convert(converter))


def _function(loaded: Any, signature: Signature, rows: int) -> Any:
    specs = {spec.name: tensor_spec(_fixed(spec, rows)) for spec in signature.inputs}
    native = jax2tf.convert(loaded.call, with_gradient=False)
    names = [spec.name for spec in signature.outputs]

    def call(**tensors: Any) -> dict[str, Any]:
        given = native(*(tensors[spec.name] for spec in signature.inputs))
        return dict(zip(names, jax.tree_util.tree_leaves(given), strict=True))

    return tf.function(call, autograph=False).get_concrete_function(**specs)


def _fixed(spec: TensorSpec, rows: int) -> TensorSpec:
    if ANY in spec.shape[1:]:
        raise refused(f"input {spec.name!r} has a free dimension besides the batch; TFLite needs it fixed.", step=STEP)
    shape = (rows, *spec.shape[1:]) if spec.shape[:1] == (ANY,) else spec.shape
    return TensorSpec(name=spec.name, dtype=spec.dtype, shape=shape)


def _named(own: Signature, declared: Signature) -> Signature:
    """The program's tensors under the manifest's names, where it declares as many."""
    if (len(own.inputs), len(own.outputs)) != (len(declared.inputs), len(declared.outputs)):
        return own
    return Signature(inputs=_renamed(own.inputs, declared.inputs), outputs=_renamed(own.outputs, declared.outputs))


def _renamed(own: tuple[TensorSpec, ...], declared: tuple[TensorSpec, ...]) -> tuple[TensorSpec, ...]:
    pairs = zip(own, declared, strict=True)
    return tuple(TensorSpec(name=known.name, dtype=spec.dtype, shape=spec.shape) for spec, known in pairs)
