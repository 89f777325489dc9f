# SPDX-License-Identifier: Apache-2.0
"""Opens a model of any format for comparison. Each runtime is imported when a model of its format is opened."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Final, cast

from converters.parity.interface import LoadedModel, Opener
from core.errors import ErrorCode, ModelError
from core.tensors import Signature

_OPENERS: Final = {
    "onnx": ("onnx", "open_onnx"),
    "tflite": ("tflite", "open_tflite"),
    "saved_model": ("tensorflow", "open_saved_model"),
    "keras": ("tensorflow", "open_keras"),
    "torchscript": ("torch", "open_torchscript"),
    "torch_export": ("torch", "open_torch_export"),
    "jax_export": ("jax", "open_jax_export"),
}


def open_model(folder: Path, model_format: str, signature: Signature | None = None) -> LoadedModel:
    """Opens the model in a folder.

    Args:
        folder: The model's files and nothing else.
        model_format: As in a manifest.
        signature: Of its manifest; needed for formats that do not name their tensors.

    Raises:
        ModelError: ``MODEL_003`` if nothing here runs the format, its runtime is not installed, or it refuses the model.
    """
    entry = _OPENERS.get(model_format)
    if entry is None:
        raise ModelError(
            ErrorCode.MODEL_INVALID, f"Format {model_format!r} cannot be run for comparison; {', '.join(_OPENERS)} can."
        )
    try:
        module = import_module(f"converters.parity.executors.{entry[0]}")
    except ImportError as error:
        message = f"Format {model_format!r} cannot be run for comparison here: {error.name} is not installed."
        raise ModelError(ErrorCode.MODEL_INVALID, message) from None
    return cast(Opener, getattr(module, entry[1]))(folder, signature)


def size_of(folder: Path) -> int:
    """Bytes of all files in a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
