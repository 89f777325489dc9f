# SPDX-License-Identifier: Apache-2.0
"""TorchScript and ``torch.export`` programs in PyTorch.

Neither file tells the names of outputs, and TorchScript not even shapes: the signature of the manifest does. Inputs are
given in its order and outputs are named in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from converters.parity.interface import Range, only_file, sizes_of
from core.errors import ErrorCode, ModelError
from core.tensors import Array, Signature


class TorchModel:
    """One module, called without gradients."""

    ranges: Mapping[str, Range] = {}

    def __init__(self, module: Any, signature: Signature) -> None:
        import torch

        torch.set_num_threads(1)
        self.runtime = ("torch", str(torch.__version__))
        self.signature = signature
        self.sizes = sizes_of(signature)
        self._module = module
        self._tensor, self._quiet = torch.from_numpy, torch.inference_mode
        self._leaves = torch.utils._pytree.tree_leaves

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        feed = [self._tensor(np.array(inputs[spec.name])) for spec in self.signature.inputs]
        with self._quiet():
            results = self._leaves(self._module(*feed))
        names = [spec.name for spec in self.signature.outputs]
        return {name: value.numpy() for name, value in zip(names, results, strict=True)}

    def close(self) -> None:
        self._module = None


def open_torchscript(folder: Path, signature: Signature | None = None) -> TorchModel:
    """Opens the only TorchScript file of a folder.

    Raises:
        ModelError: ``MODEL_003`` if there is not exactly one, PyTorch refuses it, or its signature is not known.
    """
    import torch

    path, known = only_file(folder, ".pt", ".ts"), _known(signature)
    try:
        return TorchModel(torch.jit.load(str(path), map_location="cpu").eval(), known)
    except (RuntimeError, ValueError) as error:
        raise _refused(error) from None


def open_torch_export(folder: Path, signature: Signature | None = None) -> TorchModel:
    """Opens the only ``.pt2`` file of a folder.

    Raises:
        ModelError: ``MODEL_003`` if there is not exactly one, PyTorch refuses it, or its signature is not known.
    """
    import torch

    path, known = only_file(folder, ".pt2"), _known(signature)
    try:
        return TorchModel(torch.export.load(path).module(), known)
    except (RuntimeError, ValueError, KeyError, OSError) as error:
        raise _refused(error) from None


def _known(signature: Signature | None) -> Signature:
    if signature is None:
        raise ModelError(ErrorCode.MODEL_INVALID, "A PyTorch model is compared by the signature of its manifest.")
    return signature


def _refused(error: Exception) -> ModelError:
    return ModelError(ErrorCode.MODEL_INVALID, f"PyTorch refuses the model: {' '.join(str(error).split())[:400]}")
