# SPDX-License-Identifier: Apache-2.0
"""TorchScript files: what may be in one, and loading it.

TorchScript is a language of its own without access to Python, but some of its functions open files, and code runs while a
file is loaded (``__setstate__``). The code lies in the archive as text; a file that calls one of those functions, or uses a
native class of the runtime other than packed quantized weights, is refused before it is loaded.

A TorchScript file knows the names of its inputs, not their shapes and datatypes. They stand in ``signature.json`` inside the
archive (``torch.jit.save(model, path, _extra_files={"signature.json": …})``) or beside it: a JSON object with ``inputs`` and
``outputs``, lists of ``{"name", "datatype", "shape"}`` as in the Open Inference Protocol, in the order of ``forward``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import msgspec
import torch

from core.errors import FuroshikiError
from core.tensors import ANY, Signature, TensorSpec, dtype_from_oip
from runners.backends.failures import invalid, refused
from runners.backends.torch.archive import write_archive
from runners.backends.torch.pickles import check_pickle

SIGNATURE: Final = "signature.json"
RUNTIME: Final = "torch"
_EXTRA: Final = f"extra/{SIGNATURE}"
_REACHING: Final = re.compile(
    r"\b(?:torch|ops(?:\.\w+)?)\s*\.\s*(?:from_file|save|load|_save\w*|_load\w*)\s*\("
    r"|\bops\.(?!aten\b|prim\b|prims\b|quantized\b|torchvision\b|profiler\b|inductor\b)\w+\."
)
_NATIVE: Final = re.compile(r"__torch__\.torch\.classes\.(?!quantized\.\w+PackedParamsBase\b)[\w.]+")


class _Tensor(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: str
    datatype: str
    shape: tuple[int, ...]


class _Declared(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    inputs: tuple[_Tensor, ...]
    outputs: tuple[_Tensor, ...]


def load_script(files: dict[str, bytes], beside: bytes | None, device: str) -> tuple[Any, Signature, bool]:
    """A TorchScript module, the tensors it declares, and whether it may write to its inputs.

    Args:
        files: Of the archive.
        beside: ``signature.json`` beside the file; None: there is none.
        device: ``cpu`` or ``cuda``: where its weights and constants are put.

    Raises:
        ModelError: ``MODEL_003`` if the file is refused, or declares no signature.
        Unavailable: ``DEVICE_001`` if the device has no memory for it.
    """
    if "constants.pkl" not in files or not any(path.startswith("code/") for path in files):
        raise invalid(
            "The archive is a pickle of torch.save, not TorchScript; it is never read. Save with torch.jit.save."
        )
    _check(files)
    try:
        module = torch.jit.load(write_archive(files), map_location=device).eval()
    except Exception as error:
        raise refused(RUNTIME, error) from None
    operators = set(_operators(module.inlined_graph))
    if "prim::SetAttr" in operators:
        raise invalid("The model changes its own attributes; what one request is answered would depend on others.")
    writes = any(operator.endswith("_") for operator in operators)  # the custom of ATen for operators in place
    return module, _declared(files.get(_EXTRA, beside)), writes


def _operators(graph: Any) -> Iterator[str]:
    for node in graph.nodes():
        yield node.kind()
        for block in node.blocks():
            yield from _operators(block)


def _check(files: dict[str, bytes]) -> None:
    for path, data in files.items():
        if path.endswith(".pkl"):
            check_pickle(data, path=path)
        elif path.startswith("code/") and path.endswith(".py"):
            text = data.decode(errors="replace")
            found = _REACHING.search(text) or _NATIVE.search(text)
            if found is not None:
                raise invalid(f"{path!r} in the archive uses {found.group()[:80]!r}, which reaches beyond the model.")


def _declared(data: bytes | None) -> Signature:
    if data is None:
        raise invalid(
            "A TorchScript file does not know the shapes of its tensors: add 'signature.json' with inputs and outputs, "
            'torch.jit.save(model, path, _extra_files={"signature.json": ...}), or save a torch.export program.'
        )
    try:
        declared = msgspec.json.decode(data, type=_Declared)
        return Signature(inputs=_specs(declared.inputs), outputs=_specs(declared.outputs))
    except (msgspec.DecodeError, UnicodeDecodeError, FuroshikiError) as error:
        raise invalid(f"'signature.json' is malformed: {error}") from None


def _specs(tensors: tuple[_Tensor, ...]) -> tuple[TensorSpec, ...]:
    for tensor in tensors:
        if any(size < ANY for size in tensor.shape):
            raise invalid(f"'signature.json' gives {tensor.name!r} the shape {list(tensor.shape)}.")
    return tuple(
        TensorSpec(name=tensor.name, dtype=dtype_from_oip(tensor.datatype), shape=tensor.shape) for tensor in tensors
    )
