# SPDX-License-Identifier: Apache-2.0
"""``torch.export`` programs and TorchScript files, opened without reading a pickle.

``torch.export.load`` would unpickle what a ``.pt2`` archive marks as pickled, and falls back to full pickles for older
archives. Whatever could reach one is refused from the archive's directory and configuration alone, before torch sees it; the
sandbox besides sets ``TORCH_FORCE_WEIGHTS_ONLY_LOAD``.
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Final

import numpy as np
import torch

from converters.archives import check_archive
from converters.interface import main_file, refused
from core.tensors import ANY, Signature, TensorSpec, dtype_from_numpy

_MAX_CONFIG: Final = 1 << 26
_FREE: Final = 2  # rows of an example where any number is allowed; torch treats 0 and 1 as constants


def program(folder: Path) -> Any:
    """Loads the ``torch.export`` program in a folder.

    Raises:
        ModelError: ``MODEL_003`` if it is a zip bomb, holds pickles or libraries, NaN weights, or torch refuses it.
    """
    path = main_file(folder, (".pt2",), step="torch_export")
    check_program(path)
    try:
        loaded = torch.export.load(path)
    except Exception as error:
        raise refused(f"torch cannot load it: {_first(error)}", step="torch_export") from error
    check_numbers(loaded.state_dict, step="torch_export")
    return loaded


def script(folder: Path) -> Any:
    """Loads the TorchScript file in a folder; its own unpickler knows tensors and the script's classes only.

    Raises:
        ModelError: ``MODEL_003`` if it is a zip bomb, NaN weights, or torch refuses it.
    """
    path = main_file(folder, (".pt", ".ts"), step="torchscript")
    check_archive(path, step="torchscript")
    try:
        loaded = torch.jit.load(str(path), map_location="cpu").eval()
    except Exception as error:
        raise refused(f"torch cannot load it: {_first(error)}", step="torchscript") from error
    check_numbers(dict(loaded.named_parameters()), step="torchscript")
    return loaded


def check_program(path: Path) -> None:
    """Refuses a ``.pt2`` archive that would have torch read a pickle or an object of a class of the author's.

    Raises:
        ModelError: ``MODEL_003`` naming the entry.
    """
    check_archive(path, step="torch_export")
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name = PurePosixPath(entry.filename).name
            if name.startswith(("custom_obj_", "opaque_obj_")) or name.endswith((".pkl", ".pickle")):
                raise refused(f"it holds the pickled object {entry.filename!r}.", step="torch_export")
            if name.endswith("_config.json") and entry.file_size <= _MAX_CONFIG:
                _check_config(entry.filename, archive.read(entry))


def _check_config(name: str, data: bytes) -> None:
    try:
        entries = json.loads(data).get("config", {})
        pickled = [key for key, value in entries.items() if value.get("use_pickle")]
    except (ValueError, AttributeError, RecursionError):
        raise refused(f"{name!r} is malformed.", step="torch_export") from None
    if pickled:
        raise refused(f"{name!r} says that {pickled[0]!r} is a pickle.", step="torch_export")


def check_numbers(tensors: dict[str, Any], *, step: str) -> None:
    """Refuses weights that are not numbers.

    Raises:
        ModelError: ``MODEL_003`` naming the first weight with a NaN.
    """
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and bool(torch.isnan(tensor).any()):
            raise refused(f"weight {name[:120]!r} holds NaN.", step=step)


def program_signature(loaded: Any) -> Signature:
    """The tensors of a program: inputs by the names of their placeholders, outputs by their keys or ``output_0``, ….

    Raises:
        TensorError: ``TENSOR_002`` if the protocol cannot carry a datatype.
    """
    nodes = {node.name: node for node in loaded.graph.nodes}
    inputs = [nodes[name] for name in loaded.graph_signature.user_inputs]
    outputs = [nodes[name] for name in loaded.graph_signature.user_outputs]
    names = output_names(loaded.call_spec.out_spec, len(outputs))
    return Signature(
        inputs=tuple(_spec(node.name, node.meta["val"]) for node in inputs),
        outputs=tuple(_spec(name, node.meta["val"]) for name, node in zip(names, outputs, strict=True)),
    )


def output_names(structure: Any, count: int) -> list[str]:
    """The keys of a dictionary of outputs, else ``output_0``, ``output_1``, …"""
    keys = structure.context if structure is not None and structure.type is dict else None
    return [str(key) for key in keys] if keys and len(keys) == count else [f"output_{index}" for index in range(count)]


def names_of(loaded: Any, signature: Signature | None) -> tuple[list[str], list[str]]:
    """Names of inputs and outputs: those of the manifest where it declares as many, else the program's own."""
    own = program_signature(loaded)
    fitting = signature is not None and (len(signature.inputs), len(signature.outputs)) == (
        len(own.inputs),
        len(own.outputs),
    )
    chosen = signature if fitting and signature is not None else own
    return [spec.name for spec in chosen.inputs], [spec.name for spec in chosen.outputs]


def examples(specs: Sequence[TensorSpec], rows: int = _FREE) -> list[Any]:
    """Example tensors of a signature: ``rows`` in the first free dimension, 8 in any other."""
    return [_example(spec, rows) for spec in specs]


def _example(spec: TensorSpec, rows: int) -> Any:
    shape = [(rows if axis == 0 else 8) if size == ANY else size for axis, size in enumerate(spec.shape)]
    dtype = torch.from_numpy(np.zeros(1, spec.dtype.numpy)).dtype
    return torch.randn(shape).to(dtype) if dtype.is_floating_point else torch.ones(shape, dtype=dtype)


def _spec(name: str, value: Any) -> TensorSpec:
    dtype = np.dtype(str(value.dtype).removeprefix("torch."))
    shape = tuple(size if isinstance(size, int) else ANY for size in value.shape)
    return TensorSpec(name=name, dtype=dtype_from_numpy(dtype), shape=shape)


def _first(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)[:300]
