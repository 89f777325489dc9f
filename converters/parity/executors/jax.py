# SPDX-License-Identifier: Apache-2.0
"""Functions serialized by ``jax.export``, called on the CPU."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from converters.parity.interface import Range, only_file, sizes_of
from core.errors import ErrorCode, ModelError
from core.tensors import Array, Signature


class JaxModel:
    """One exported function; inputs in the order of the signature, outputs named in it."""

    ranges: Mapping[str, Range] = {}

    def __init__(self, data: bytes, signature: Signature) -> None:
        import jax
        from jax import export

        self.runtime = ("jax", str(jax.__version__))
        self.signature = signature
        self.sizes = sizes_of(signature)
        try:
            self._call: Any = jax.jit(export.deserialize(bytearray(data)).call)
        except (ValueError, KeyError, IndexError, TypeError) as error:
            reason = " ".join(str(error).split())[:400]
            raise ModelError(ErrorCode.MODEL_INVALID, f"JAX refuses the model: {reason}") from None
        self._leaves = jax.tree.leaves

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        results = self._leaves(self._call(*(inputs[spec.name] for spec in self.signature.inputs)))
        names = [spec.name for spec in self.signature.outputs]
        return {name: np.asarray(value) for name, value in zip(names, results, strict=True)}

    def close(self) -> None:
        self._call = None


def open_jax_export(folder: Path, signature: Signature | None = None) -> JaxModel:
    """Opens the only ``.jax_export`` file of a folder.

    Raises:
        ModelError: ``MODEL_003`` if there is not exactly one, JAX refuses it, or its signature is not known.
    """
    if signature is None:
        raise ModelError(ErrorCode.MODEL_INVALID, "A JAX export is compared by the signature of its manifest.")
    return JaxModel(only_file(folder, ".jax_export", ".jaxexport").read_bytes(), signature)
