# SPDX-License-Identifier: Apache-2.0
"""``torch.export`` programs and TorchScript to ONNX. Free dimensions stay free.

Programs go through the dynamo exporter; what it cannot do is tried with the TorchScript exporter, and said in the log.
TorchScript itself has only the latter, which needs the shapes of the manifest's signature.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import torch

from converters.interface import MAIN_FILE, ConvertOptions, reason_of, refused
from converters.sources.torch_files import examples, names_of, program, program_signature, script
from core.tensors import ANY, Signature

_SCRIPT_OPSET = 17  # the newest that the TorchScript exporter writes


def from_program(source: Path, target: Path, options: ConvertOptions) -> None:
    """Converts a ``.pt2`` program; see :meth:`converters.interface.Recipe.convert`."""
    loaded, path = program(source), target / MAIN_FILE["onnx"]
    inputs, outputs = names_of(loaded, options.signature)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                loaded,
                (),
                str(path),
                dynamo=True,
                opset_version=options.opset,
                input_names=inputs,
                output_names=outputs,
                external_data=False,
                verbose=False,
            )
    except Exception as error:
        print(f"The dynamo exporter failed ({error}); trying the TorchScript exporter.", file=sys.stderr)  # noqa: T201
        path.unlink(missing_ok=True)
        _traced(_plain(loaded), program_signature(loaded), path, (inputs, outputs), step="torch_export_to_onnx")


def from_script(source: Path, target: Path, options: ConvertOptions) -> None:
    """Converts a TorchScript file; see :meth:`converters.interface.Recipe.convert`."""
    step = "torchscript_to_onnx"
    if options.signature is None:
        raise refused("TorchScript does not tell its shapes and the manifest has no signature.", step=step)
    signature = options.signature
    names = ([spec.name for spec in signature.inputs], [spec.name for spec in signature.outputs])
    _traced(script(source), signature, target / MAIN_FILE["onnx"], names, step=step)


def _traced(module: Any, signature: Signature, path: Path, names: tuple[list[str], list[str]], *, step: str) -> None:
    inputs, outputs = names
    pairs = [*zip(inputs, signature.inputs, strict=True), *zip(outputs, signature.outputs, strict=True)]
    free = {
        name: {axis: f"{name}_{axis}" if axis else "batch" for axis, size in enumerate(spec.shape) if size == ANY}
        for name, spec in pairs
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                module,
                tuple(examples(signature.inputs)),
                str(path),
                dynamo=False,
                opset_version=_SCRIPT_OPSET,
                input_names=inputs,
                output_names=outputs,
                dynamic_axes={name: axes for name, axes in free.items() if axes},
            )
    except Exception as error:
        path.unlink(missing_ok=True)
        raise refused(reason_of(error), step=step) from error


class _Plain(torch.nn.Module):  # type: ignore[misc]  # torch is not followed
    """A program as a module that lets itself be switched to evaluation, which it always is."""

    def __init__(self, module: Any) -> None:
        super().__init__()
        self._call = [module]  # in a list: not a submodule, whose train() raises

    def forward(self, *tensors: Any) -> Any:
        return self._call[0](*tensors)


def _plain(loaded: Any) -> Any:
    return _Plain(loaded.module())
