# SPDX-License-Identifier: Apache-2.0
"""``torch.export`` programs to TFLite by litert-torch: one signature per batch size, weights shared.

litert-torch's dynamic shapes break on linear layers and embeddings, so each batch size gets a signature of its own, called
``batch_1``, ``batch_8``. A program whose batch is fixed gets one. int64 inputs become int32, as TFLite's do.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import litert_torch
import torch

from converters.interface import MAIN_FILE, ConvertOptions, reason_of, refused
from converters.sources.torch_files import examples, names_of, program, program_signature
from core.tensors import ANY, Signature

STEP = "torch_export_to_tflite"


class _Named(torch.nn.Module):  # type: ignore[misc]  # torch is not followed
    """A program called with named tensors, giving named tensors, so that the signature has those names."""

    def __init__(self, module: Any, inputs: list[str], outputs: list[str]) -> None:
        super().__init__()
        self.module, self.inputs, self.outputs = module, inputs, outputs

    def forward(self, **tensors: Any) -> dict[str, Any]:
        given = self.module(*(tensors[name] for name in self.inputs))
        return dict(zip(self.outputs, torch.utils._pytree.tree_leaves(given), strict=True))


def from_program(source: Path, target: Path, options: ConvertOptions) -> None:
    """Converts; see :meth:`converters.interface.Recipe.convert`."""
    loaded = program(source)
    signature = program_signature(loaded)
    inputs, outputs = names_of(loaded, options.signature)
    module = _Named(loaded.module(), inputs, outputs)
    converter: Any = litert_torch
    for rows in _batches(signature, options.batches):
        tensors = dict(zip(inputs, examples(signature.inputs, rows), strict=True))
        converter = converter.signature(f"batch_{rows}", module, sample_kwargs=tensors)
    try:
        converter.convert().export(str(target / MAIN_FILE["tflite"]))
    except Exception as error:
        raise refused(reason_of(error), step=STEP) from error


def _batches(signature: Signature, wanted: tuple[int, ...]) -> tuple[int, ...]:
    """The batch sizes to make: those wanted, or the one the model has."""
    for spec in signature.inputs:
        if ANY in spec.shape[1:]:
            raise refused(
                f"input {spec.name!r} has a free dimension besides the batch; TFLite needs it fixed.", step=STEP
            )
    first = [spec.shape[0] for spec in signature.inputs if spec.shape]
    return wanted if ANY in first else (max(1, math.prod(first[:1])),)
