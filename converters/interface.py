# SPDX-License-Identifier: Apache-2.0
"""The recipe port: one step that turns a model of one format into one of another, or of another precision.

Rules. A recipe runs only inside the sandbox (:mod:`converters.sandbox`): it may execute what the model's author wrote. It
reads the folder ``source``, writes nothing but the empty folder ``target`` and ``options.scratch``, and returns normally only
if it wrote a complete model. It never judges how good the result is; :mod:`converters.parity` does. What it cannot convert it
refuses with ``MODEL_003`` and the reason; any other exception of a converter library becomes one, and its traceback goes to
the log.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol, TypeAlias, runtime_checkable

from core.errors import ErrorCode, ModelError
from core.tensors import Signature

Kind: TypeAlias = Literal["convert", "quantize"]

PORT_VERSION: Final = 1
"""Of this port. A plugin written for another version is refused."""

# The file a recipe writes its model to, by format. A SavedModel is the folder itself.
MAIN_FILE: Final[Mapping[str, str]] = {
    "onnx": "model.onnx",
    "tflite": "model.tflite",
    "torch_export": "model.pt2",
    "torchscript": "model.pt",
    "keras": "model.keras",
    "jax_export": "model.jax_export",
    "saved_model": "saved_model.pb",
    "factory": "factory.json",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertOptions:
    """What every recipe is told. Paths are absolute."""

    precision: str = "fp32"  # of the result; a recipe of kind "convert" keeps the source's
    signature: Signature | None = None  # of the source, from its manifest; None: not known
    batches: tuple[int, ...] = (1, 8)  # rows of the signatures of a result that cannot take any number of rows
    opset: int = 18  # of ONNX
    calibration: Path | None = None  # folder of calibration data; None: there is none
    scratch: Path = Path("/tmp")  # noqa: S108 -- private empty folder; the sandbox sets it
    threads: int = 1


@runtime_checkable
class Recipe(Protocol):
    """One step."""

    @property
    def name(self) -> str:
        """For example ``torch_export_to_onnx``, unique in the catalogue."""
        ...

    @property
    def kind(self) -> Kind:
        """Whether it changes the format, or the precision within one format."""
        ...

    @property
    def source(self) -> str:
        """The format it reads."""
        ...

    @property
    def target(self) -> str:
        """The format it writes; that of ``source`` for the kind "quantize"."""
        ...

    @property
    def precision(self) -> str | None:
        """What the kind "quantize" makes of fp32, such as ``int8``; None: the source's precision is kept."""
        ...

    @property
    def dynamic_batch(self) -> bool:
        """Whether a model of any batch size remains one. False: fixed sizes, one signature each."""
        ...

    @property
    def cost_s(self) -> float:
        """Seconds that a small model takes on two cores; what the path search adds up."""
        ...

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of the distributions it imports."""
        ...

    def available(self) -> str | None:
        """None if it can run here, else the reason and the remedy. Imports no runtime."""
        ...

    def convert(self, source: Path, target: Path, options: ConvertOptions) -> None:
        """Converts. Blocks.

        Args:
            source: Folder with the model's files and nothing else.
            target: Empty folder; its main file is ``MAIN_FILE[self.target]``.
            options: See there.

        Raises:
            ModelError: ``MODEL_003`` with the reason if this model cannot be converted in this way.
        """
        ...


def refused(why: str, *, step: str) -> ModelError:
    """The error for a model that a step cannot convert: ``MODEL_003``."""
    return ModelError(ErrorCode.MODEL_INVALID, f"{step} cannot convert this model: {why}", details={"step": step})


def reason_of(error: Exception, *, silent: str | None = None) -> str:
    """The first line of what a converter library says, at most 400 characters, without the folders of this installation.

    Args:
        error: What it raised.
        silent: What to say if it says nothing; None: the type of the error.
    """
    said = next((line.strip() for line in str(error).splitlines() if line.strip()), silent or type(error).__name__)
    for folder in (sys.prefix, sys.base_prefix, str(Path(__file__).resolve().parents[1])):
        said = said.replace(f"{folder}/", "")
    return said[:400]


def kind_and_reason(error: Exception) -> str:
    """The type of an exception and what it says."""
    return f"{type(error).__name__}: {reason_of(error, silent='no reason given')}"


def main_file(folder: Path, suffixes: tuple[str, ...], *, step: str) -> Path:
    """The one file of a folder with one of these suffixes.

    Raises:
        ModelError: ``MODEL_003`` if there is none, or several.
    """
    found = sorted(path for path in folder.rglob("*") if path.is_file() and path.suffix in suffixes)
    if len(found) != 1:
        names = ", ".join(path.name for path in found[:5]) or "none"
        raise refused(f"expected one file of {', '.join(suffixes)}, found {names}.", step=step)
    return found[0]
