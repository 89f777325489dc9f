# SPDX-License-Identifier: Apache-2.0
"""Flax factories to ONNX by jax2onnx. Free dimensions stay free.

jax2onnx reads the traced function. A ``jax.export`` file holds StableHLO instead, which it cannot read: there is no such
route.
"""

from __future__ import annotations

from pathlib import Path

import jax
import jax2onnx
import onnx

from converters.interface import MAIN_FILE, ConvertOptions, refused
from converters.recipes.onnx_files import unknown_operations
from converters.sources.flax import factory_function, symbolic
from core.tensors import DType

STEP = "factory_flax_to_onnx"


def from_factory(source: Path, target: Path, options: ConvertOptions) -> None:
    """Converts; see :meth:`converters.interface.Recipe.convert`."""
    call, described = factory_function(source)
    odd = [spec.name for spec in described.inputs if spec.dtype not in (DType.FP32, DType.INT32)]
    if odd:
        raise refused(f"input {odd[0]!r} is neither FP32 nor INT32, which is what JAX computes with.", step=STEP)
    wanted = symbolic(described.inputs)
    names = list(jax.eval_shape(call, *wanted))
    model = jax2onnx.to_onnx(
        lambda *tensors: tuple(call(*tensors)[name] for name in names),
        wanted,
        opset=options.opset,
        input_names=[spec.name for spec in described.inputs],
        output_names=names,
    )
    unknown = unknown_operations(model)
    if unknown:
        raise refused(f"jax2onnx has no form of {', '.join(unknown)}.", step=STEP)
    onnx.save(model, target / MAIN_FILE["onnx"])
