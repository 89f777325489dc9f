# SPDX-License-Identifier: Apache-2.0
"""SavedModel to ONNX by tf2onnx, from the serving signature. Batches of any size stay so.

tf2onnx knows no ``Erfc`` (exact GELU): it is written as ``1 - Erf``. For an operation that it does not know it writes a model
nobody can load and says nothing; the checker refuses that here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
import tf2onnx

from converters.interface import MAIN_FILE, ConvertOptions, refused
from converters.recipes.onnx_files import unknown_operations
from converters.recipes.saved_model import input_specs, load

STEP = "saved_model_to_onnx"


def from_saved_model(source: Path, target: Path, options: ConvertOptions) -> None:
    """Converts; see :meth:`converters.interface.Recipe.convert`."""
    signature = load(source, step=STEP)
    specs = input_specs(signature)
    outputs = list(signature.structured_outputs)

    def call(*tensors: Any) -> list[Any]:
        given = signature(**dict(zip(specs, tensors, strict=True)))
        return [tf.identity(given[name], name=name) for name in outputs]

    wanted = [tf.TensorSpec(spec.shape, spec.dtype, name=name) for name, spec in specs.items()]
    model, _ = tf2onnx.convert.from_function(
        tf.function(call, autograph=False, input_signature=wanted),
        input_signature=wanted,
        opset=options.opset,
        custom_op_handlers={"Erfc": (_erfc, [])},
    )
    unknown = unknown_operations(model)
    if unknown:
        raise refused(f"tf2onnx has no form of {', '.join(unknown)}.", step=STEP)
    _name(model, [*specs], outputs)
    onnx.save(model, target / MAIN_FILE["onnx"])


def _erfc(context: Any, node: Any, _name: str, _args: Any) -> None:
    """``Erfc(x) = 1 - Erf(x)``, as a handler of tf2onnx."""
    dtype = context.get_dtype(node.output[0])
    one = context.make_const(f"{node.name}/one", np.array(1, onnx.helper.tensor_dtype_to_np_dtype(dtype)))
    shapes, dtypes = [context.get_shape(node.output[0])], [dtype]
    taken = list(node.input)
    context.remove_node(node.name)
    erf = context.make_node("Erf", taken, name=f"{node.name}/erf", shapes=shapes, dtypes=dtypes)
    context.make_node(
        "Sub", [one.output[0], erf.output[0]], name=node.name, outputs=node.output, shapes=shapes, dtypes=dtypes
    )


def _name(model: onnx.ModelProto, inputs: list[str], outputs: list[str]) -> None:
    """Gives the graph's tensors the names of the signature, which tf2onnx decorates."""
    from converters.recipes.onnx_files import rename

    rename(model, {value.name: name for value, name in zip(model.graph.input, inputs, strict=True)})
    rename(model, {value.name: name for value, name in zip(model.graph.output, outputs, strict=True)})
