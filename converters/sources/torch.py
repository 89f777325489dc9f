# SPDX-License-Identifier: Apache-2.0
"""Torch factories: a module with the weights of ``weights.safetensors`` in it."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, Final

import torch

from converters.interface import MAIN_FILE, refused
from converters.sources.factory import Description, build, describe, weights
from converters.sources.torch_files import examples
from core.tensors import ANY

STEP: Final = "factory(torch)"
_MOST: Final = 1 << 20  # of a free dimension besides the batch


class Named(torch.nn.Module):  # type: ignore[misc]  # torch is not followed
    """A module whose inputs have the description's names and whose outputs are a dictionary by name."""

    def __init__(self, module: Any, described: Description) -> None:
        super().__init__()
        self.module, self._described = module, described
        names = [spec.name for spec in described.inputs]
        kinds = [inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD) for name in names]
        self._names, signature = names, inspect.Signature(kinds)

        def forward(*tensors: Any) -> dict[str, Any]:
            return described.named(module(*tensors))

        forward.__signature__ = signature  # type: ignore[attr-defined]  # torch.export names its inputs after it
        self.forward = forward


def factory_module(folder: Path) -> tuple[Named, Description]:
    """Builds the module of a factory and gives it its weights.

    Raises:
        ModelError: ``MODEL_003`` if it cannot be built, or the weights are not its own.
    """
    described, module, given = describe(folder), build(folder), weights(folder)
    if not isinstance(module, torch.nn.Module):
        raise refused(f"build() gave a {type(module).__name__}; expected a torch.nn.Module.", step=STEP)
    bad = [spec.name for spec in described.inputs if not spec.name.isidentifier()]
    if bad:
        raise refused(f"input {bad[0]!r} cannot be an argument of forward(); use letters, digits and _.", step=STEP)
    try:
        module.load_state_dict({name: torch.from_numpy(array) for name, array in given.items()}, strict=True)
    except (RuntimeError, TypeError) as error:
        raise refused(" ".join(str(error).split())[:400], step=STEP) from None
    return Named(module.eval(), described), described


def to_program(source: Path, target: Path, _options: object) -> None:
    """Factory to ``torch.export``; see :meth:`converters.interface.Recipe.convert`."""
    module, described = factory_module(source)
    batch = torch.export.Dim("batch", min=1)
    free = tuple(
        {
            axis: batch if axis == 0 else torch.export.Dim(f"{spec.name}_{axis}", max=_MOST)
            for axis, size in enumerate(spec.shape)
            if size == ANY
        }
        for spec in described.inputs
    )
    try:
        program = torch.export.export(module, tuple(examples(described.inputs)), dynamic_shapes=free, strict=False)
    except Exception as error:
        reason = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise refused(f"torch.export: {reason[:400]}", step=STEP) from error
    torch.export.save(program, target / MAIN_FILE["torch_export"])
