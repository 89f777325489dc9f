# SPDX-License-Identifier: Apache-2.0
"""The one place that imports an interpreter. Both packages have the same API; LiteRT is the one that is maintained."""

from __future__ import annotations

from importlib import metadata
from typing import Any, Final

try:
    from ai_edge_litert import interpreter as _runtime

    _DISTRIBUTION = "ai-edge-litert"
except ImportError:
    from tflite_runtime import interpreter as _runtime

    _DISTRIBUTION = "tflite-runtime"

RUNTIME: Final = "LiteRT" if _DISTRIBUTION == "ai-edge-litert" else "tflite-runtime"
VERSION: Final = metadata.version(_DISTRIBUTION)


def open_interpreter(model: bytes, *, threads: int, delegates: list[Any]) -> Any:
    """An interpreter that reads the model in place: ``model`` is not copied, and all interpreters of it share it.

    Args:
        model: The flatbuffer; kept alive by the interpreter.
        threads: Of XNNPACK and the other kernels.
        delegates: What :func:`load_delegate` returned.

    Raises:
        ValueError: The runtime refuses the model.
        RuntimeError: A delegate refuses it.
    """
    return _runtime.Interpreter(model_content=model, num_threads=threads, experimental_delegates=delegates)


def load_delegate(library: str, options: dict[str, str]) -> Any:
    """A delegate from its shared library.

    Raises:
        OSError: The library cannot be loaded.
        ValueError: It refuses its options, or finds no device.
    """
    return _runtime.load_delegate(library, options)
