# SPDX-License-Identifier: Apache-2.0
"""Flax factories and ``jax.export`` files."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import flax.linen
import jax
import numpy as np
from jax import export

from converters.interface import main_file, refused
from converters.sources.factory import Description, build, describe, weights
from core.tensors import ANY, Signature, TensorSpec, dtype_from_numpy

STEP: Final = "flax"


def factory_function(folder: Path) -> tuple[Callable[..., dict[str, Any]], Description]:
    """The function of a factory: positional tensors to named ones, its variables within it.

    Raises:
        ModelError: ``MODEL_003`` if it is no ``flax.linen.Module``.
    """
    described, module, given = describe(folder), build(folder), weights(folder)
    if not isinstance(module, flax.linen.Module):
        raise refused(f"build() gave a {type(module).__name__}; expected a flax.linen.Module.", step=STEP)
    variables = _nested({name: jax.numpy.asarray(array) for name, array in given.items()})

    def call(*tensors: Any) -> dict[str, Any]:
        return described.named(module.apply(variables, *tensors))

    return call, described


def to_export(source: Path, target: Path, _options: object) -> None:
    """Factory to ``jax.export``; see :meth:`converters.interface.Recipe.convert`."""
    from converters.interface import MAIN_FILE

    call, described = factory_function(source)
    exported = export.export(jax.jit(call))(*symbolic(described.inputs))
    (target / MAIN_FILE["jax_export"]).write_bytes(bytes(exported.serialize()))


def symbolic(specs: Sequence[TensorSpec]) -> list[Any]:
    """Abstract arguments; every free first dimension is the same batch, any other is its own."""
    scope = export.SymbolicScope()
    names = [
        ", ".join(
            ("batch" if axis == 0 else f"d{index}_{axis}") if size == ANY else str(size)
            for axis, size in enumerate(spec.shape)
        )
        for index, spec in enumerate(specs)
    ]
    return [
        jax.ShapeDtypeStruct(export.symbolic_shape(name, scope=scope), spec.dtype.numpy)
        for name, spec in zip(names, specs, strict=True)
    ]


def exported(folder: Path) -> Any:
    """Reads the ``jax.export`` file in a folder.

    Raises:
        ModelError: ``MODEL_003`` if JAX refuses it, or it is not for the CPU.
    """
    path = main_file(folder, (".jax_export", ".jaxexport"), step="jax_export")
    try:
        loaded = export.deserialize(bytearray(path.read_bytes()))
    except Exception as error:
        raise refused(f"JAX cannot read it: {type(error).__name__}: {str(error)[:300]}", step="jax_export") from error
    if "cpu" not in loaded.platforms:
        raise refused(f"it was exported for {', '.join(loaded.platforms)}; export it for cpu.", step="jax_export")
    return loaded


def exported_signature(loaded: Any) -> Signature:
    """The tensors of an export: inputs ``input_0``, …; outputs by their keys, else ``output_0``, ….

    Raises:
        TensorError: ``TENSOR_002`` if the protocol cannot carry a datatype.
    """
    paths = [path for path, _ in jax.tree_util.tree_flatten_with_path(loaded.out_tree.unflatten(loaded.out_avals))[0]]
    keyed = all(len(path) == 1 and isinstance(path[0], jax.tree_util.DictKey) for path in paths)
    outputs = [str(path[0].key) if keyed else f"output_{index}" for index, path in enumerate(paths)]
    inputs = [f"input_{index}" for index in range(len(loaded.in_avals))]
    return Signature(
        inputs=tuple(_spec(name, aval) for name, aval in zip(inputs, loaded.in_avals, strict=True)),
        outputs=tuple(_spec(name, aval) for name, aval in zip(outputs, loaded.out_avals, strict=True)),
    )


def _spec(name: str, aval: Any) -> TensorSpec:
    shape = tuple(size if isinstance(size, int) else ANY for size in aval.shape)
    return TensorSpec(name=name, dtype=dtype_from_numpy(np.dtype(aval.dtype)), shape=shape)


def _nested(flat: dict[str, Any]) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *parents, leaf = name.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[leaf] = value
    return tree
