# SPDX-License-Identifier: Apache-2.0
"""The executor port: runs one model to compare it with another.

Runners serve; executors compare. They are kept apart because converters and runners never import each other, and because
a comparison wants what serving avoids: one thread, no batching, the plain path of the runtime's own documentation. So a
fault of our serving code cannot hide a fault of a conversion, nor the other way round.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Protocol, TypeAlias

from core.errors import ErrorCode, ModelError
from core.tensors import ANY, Array, Signature

Range: TypeAlias = tuple[float, float]


class LoadedModel(Protocol):
    """One model that can be run; on one thread where the runtime can be told so (not TensorFlow and JAX)."""

    @property
    def signature(self) -> Signature:
        """What it takes and gives, in its own names; floats where the file has quantized inputs or outputs."""
        ...

    @property
    def sizes(self) -> tuple[int, ...] | None:
        """The batch sizes it takes, ascending; None: any; empty: it has no batch dimension."""
        ...

    @property
    def ranges(self) -> Mapping[str, Range]:
        """What a quantized input or output can represent at least and at most; the others are not in it."""
        ...

    @property
    def runtime(self) -> tuple[str, str]:
        """Name and version of what runs it."""
        ...

    def run(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Runs it once.

        Raises:
            Exception: Whatever the runtime raises.
        """
        ...

    def close(self) -> None:
        """Frees its memory. May be called twice."""
        ...


# Opens the model in a folder. The signature is that of its manifest, for formats that do not tell names and shapes.
Opener: TypeAlias = Callable[[Path, Signature | None], LoadedModel]


def only_file(folder: Path, *suffixes: str) -> Path:
    """The one file of a folder with one of these suffixes.

    Raises:
        ModelError: ``MODEL_003`` if there is none, or several.
    """
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in suffixes)
    if len(found) != 1:
        raise ModelError(
            ErrorCode.MODEL_INVALID, f"The model has {len(found)} files of {', '.join(suffixes)}; expected exactly one."
        )
    return found[0]


def sizes_of(signature: Signature) -> tuple[int, ...] | None:
    """The batch sizes of a model that has one signature."""
    firsts = {spec.shape[0] if spec.shape else 0 for spec in signature.inputs}
    if len(firsts) != 1:
        return ()
    size = firsts.pop()
    return None if size == ANY else (size,) if size else ()
