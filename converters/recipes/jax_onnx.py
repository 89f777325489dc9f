# SPDX-License-Identifier: Apache-2.0
"""Flax factories to ONNX by jax2onnx. Free dimensions stay free.

jax2onnx reads the traced function. A ``jax.export`` file holds StableHLO instead, which it cannot read: there is no such
route.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import flax.linen
import jax
import jax2onnx
import onnx

from converters.interface import MAIN_FILE, ConvertOptions, refused
from converters.recipes.onnx_files import unknown_operations
from converters.sources.flax import factory_function, symbolic
from core.tensors import DType

STEP = "factory_flax_to_onnx"
_POOLING = {name: inspect.signature(getattr(flax.linen, name)) for name in ("avg_pool", "max_pool")}  # as flax has them


def from_factory(source: Path, target: Path, options: ConvertOptions) -> None:
    """Converts; see :meth:`converters.interface.Recipe.convert`."""
    call, described = factory_function(source)
    odd = [spec.name for spec in described.inputs if spec.dtype not in (DType.FP32, DType.INT32)]
    if odd:
        raise refused(f"input {odd[0]!r} is neither FP32 nor INT32, which is what JAX computes with.", step=STEP)
    wanted = symbolic(described.inputs)
    names = list(jax.eval_shape(call, *wanted))

    def traced(*tensors: Any) -> tuple[Any, ...]:
        with _named_arguments():
            found = call(*tensors)
        return tuple(found[name] for name in names)

    model = jax2onnx.to_onnx(
        traced,
        wanted,
        opset=options.opset,
        input_names=[spec.name for spec in described.inputs],
        output_names=names,
    )
    unknown = unknown_operations(model)
    if unknown:
        raise refused(f"jax2onnx has no form of {', '.join(unknown)}.", step=STEP)
    onnx.save(model, target / MAIN_FILE["onnx"])


@contextmanager
def _named_arguments() -> Iterator[None]:
    """While jax2onnx traces it puts functions of its own in place of flax's pooling, which take arguments by name only."""
    replaced = {name: getattr(flax.linen, name) for name in _POOLING}
    for name, function in replaced.items():
        setattr(flax.linen, name, partial(_by_name, function, _POOLING[name]))
    try:
        yield
    finally:
        for name, function in replaced.items():
            setattr(flax.linen, name, function)


def _by_name(function: Any, signature: inspect.Signature, *args: Any, **kwargs: Any) -> Any:
    (_, inputs), *rest = signature.bind(*args, **kwargs).arguments.items()
    return function(inputs, **dict(rest))
