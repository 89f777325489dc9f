# SPDX-License-Identifier: Apache-2.0
"""Runs of a module on the CPU, on the caller's own memory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import torch

from core.tensors import Array, Signature
from runners.backends.torch.dtypes import array_of, tensor_of


class Execution(Protocol):
    """Runs a module on one device."""

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        """The outputs in the order of the signature.

        Args:
            arrays: The inputs, likewise.
        """
        ...


class CpuExecution:
    """A module on the CPU.

    Args:
        module: Takes the signature's inputs in order.
        signature: Its tensors.
    """

    def __init__(self, module: Any, signature: Signature) -> None:
        self._module = module
        self._signature = signature

    def __call__(self, arrays: Sequence[Array]) -> list[Array]:
        inputs = self._signature.inputs
        with torch.inference_mode():
            results = self._module(*(tensor_of(array, spec.dtype) for array, spec in zip(arrays, inputs, strict=True)))
        return [array_of(tensor) for tensor in flat(results, self._signature)]


def flat(results: Any, signature: Signature) -> list[Any]:
    """What a module returned, as a list in the order of the signature.

    Raises:
        ValueError: It is neither a tensor, a sequence nor a mapping of as many tensors.
    """
    if isinstance(results, Mapping):
        results = [results[spec.name] for spec in signature.outputs]
    elif isinstance(results, torch.Tensor):
        results = [results]
    if len(results) != len(signature.outputs):
        raise ValueError(f"the model gives {len(results)} outputs; expected {len(signature.outputs)}")
    return list(results)
