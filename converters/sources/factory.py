# SPDX-License-Identifier: Apache-2.0
"""Model factories: code that builds a module, weights in safetensors, and a description. Only ever opened in the sandbox.

A factory is a folder:

* ``factory.py`` with ``build() -> module``. It is run as it is: it is the author's code.
* ``weights.safetensors``, by the framework's own names: a torch state dict; a Keras variable's ``path``; a flax variable's
  path joined by dots (``params.Dense_0.kernel``); an attribute path of a scikit-learn estimator (``coef_``,
  ``steps.0.1.mean_``, ``coefs_.0``).
* ``factory.json``: ``{"framework", "inputs": [{"name", "datatype", "shape"}], "outputs": [name]}``; -1 is any size;
  ``outputs`` may be left out, then they are called ``output_0``, ``output_1``, …

No pickle is read: weights that safetensors cannot hold (a decision tree) belong to another format, such as ONNX.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np

from converters.interface import refused
from core.errors import TensorError
from core.tensors import Array, TensorSpec, dtype_from_oip

STEP: Final = "factory"
FRAMEWORKS: Final = ("torch", "keras", "flax", "sklearn")
MAX_DESCRIPTION_BYTES: Final = 1 << 20


class _Tensor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str
    datatype: str
    shape: tuple[int, ...]


class _Json(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    framework: str
    inputs: tuple[_Tensor, ...]
    outputs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What ``factory.json`` says."""

    framework: str
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[str, ...]  # empty: not named

    def output_names(self, count: int) -> tuple[str, ...]:
        """Names of so many outputs.

        Raises:
            ModelError: ``MODEL_003`` if another number of them is named.
        """
        if self.outputs and len(self.outputs) != count:
            raise refused(f"factory.json names {len(self.outputs)} outputs, the module gives {count}.", step=STEP)
        return self.outputs or tuple(f"output_{index}" for index in range(count))

    def named(self, result: Any) -> dict[str, Any]:
        """What a module gave, by name: a dictionary as it is, a sequence or a single tensor by the names of the outputs."""
        if isinstance(result, Mapping):
            return dict(result)
        values = list(result) if isinstance(result, tuple | list) else [result]
        return dict(zip(self.output_names(len(values)), values, strict=True))


def describe(folder: Path) -> Description:
    """Reads ``factory.json``. Runs nothing.

    Raises:
        ModelError: ``MODEL_003`` naming what is wrong with it.
    """
    try:
        data = (folder / "factory.json").read_bytes()
        document = msgspec.json.decode(data[:MAX_DESCRIPTION_BYTES], type=_Json)
        inputs = tuple(
            TensorSpec(name=each.name, dtype=dtype_from_oip(each.datatype), shape=each.shape)
            for each in document.inputs
        )
    except (OSError, msgspec.MsgspecError, TensorError, UnicodeDecodeError, RecursionError) as error:
        raise refused(f"factory.json is not valid: {error}.", step=STEP) from None
    if document.framework not in FRAMEWORKS:
        expected = ", ".join(FRAMEWORKS)
        raise refused(f"framework {document.framework[:40]!r} is not known; expected {expected}.", step=STEP)
    if not inputs:
        raise refused("factory.json names no inputs.", step=STEP)
    return Description(framework=document.framework, inputs=inputs, outputs=document.outputs)


def build(folder: Path) -> Any:
    """Runs ``factory.py`` and what it builds.

    Raises:
        ModelError: ``MODEL_003`` if it fails or has no ``build``.
    """
    spec = importlib.util.spec_from_file_location("factory", folder / "factory.py")
    if spec is None or spec.loader is None:
        raise refused("factory.py cannot be read.", step=STEP)
    module = importlib.util.module_from_spec(spec)
    sys.modules["factory"] = module  # dataclasses and torch look classes up by module
    try:
        spec.loader.exec_module(module)
        return module.build()
    except Exception as error:
        raise refused(f"factory.py failed: {type(error).__name__}: {str(error)[:300]}", step=STEP) from error


def weights(folder: Path) -> dict[str, Array]:
    """Reads ``weights.safetensors``.

    Raises:
        ModelError: ``MODEL_003`` if it is malformed or holds a NaN.
    """
    from safetensors import SafetensorError  # recipes of factories ask for it; others do without
    from safetensors.numpy import load_file

    try:
        found: dict[str, Array] = load_file(folder / "weights.safetensors")
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise refused(f"weights.safetensors cannot be read: {error}.", step=STEP) from None
    check_numbers(found, step=STEP)
    return found


def check_numbers(values: Mapping[str, Array], *, step: str) -> None:
    """Refuses weights that are not numbers: no conversion of such a model can be compared.

    Raises:
        ModelError: ``MODEL_003`` naming the first weight with a NaN.
    """
    for name, array in values.items():
        if array.dtype.kind == "f" and bool(np.isnan(array).any()):
            raise refused(f"weight {name[:120]!r} holds NaN.", step=step)
