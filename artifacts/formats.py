# SPDX-License-Identifier: Apache-2.0
"""Which formats a model may have, and how one is told from the paths of its files.

A format is known by one **main file**: by how its name ends (``.onnx``), or by its whole name (``saved_model.pb``). All other
files accompany it. A set of paths has exactly one main file of exactly one format; anything else is refused, never guessed.

``executable`` formats are loaded by a runner. ``source`` formats hold code or graphs of a framework; they are only converted,
and only inside the converters' sandbox. Files whose names say that they hold pickles are refused wherever they lie: to read
one is to run it. Pure: paths only, no bytes; a name proves nothing, so whoever reads the main file checks it again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Final

from core.errors import ErrorCode, ModelError

PICKLES: Final = frozenset({".pkl", ".pickle", ".joblib", ".pth", ".ckpt", ".dill", ".cloudpickle"})
"""Suffixes of files that are pickles by custom."""

_SHOWN: Final = 20  # paths named in a refusal


@dataclass(frozen=True, slots=True, kw_only=True)
class Format:
    """One format of model files."""

    name: str  # of the manifest's ``format``
    executable: bool  # whether a runner loads it; False: it is only converted
    suffixes: tuple[str, ...] = ()  # of the main file, the usual one first
    names: tuple[str, ...] = ()  # files that lie together in one folder; the first is the main file
    described: str  # what its files are, for a message

    def main(self, paths: Iterable[str]) -> str:
        """The path of the main file; for a format that is a folder, the file that lies directly in it.

        Raises:
            ModelError: ``MODEL_003`` unless exactly one path is a main file of this format and what must lie beside it does.
        """
        given = tuple(paths)
        found = [path for path in given if self.is_main(path)]
        if len(found) != 1:
            raise _refused(
                given, f"{len(found)} main files of format {self.name!r}; expected exactly one ({self.described})"
            )
        folder = PurePosixPath(found[0]).parent
        absent = [name for name in self.names[1:] if str(folder / name) not in given]
        if absent:
            raise _refused(given, f"no {str(folder / absent[0])!r}; expected {self.described}")
        return found[0]

    def folder(self, paths: Iterable[str]) -> str:
        """The folder of the main file, ``"."`` for the bundle's own.

        Raises:
            ModelError: As :meth:`main`.
        """
        return str(PurePosixPath(self.main(paths)).parent)

    def is_main(self, path: str) -> bool:
        """Whether a file of that path is a main file of this format."""
        name = PurePosixPath(path).name
        return name == self.names[0] if self.names else path.endswith(self.suffixes)


def _table(*formats: Format) -> Mapping[str, Format]:
    return MappingProxyType({form.name: form for form in formats})


FORMATS: Final[Mapping[str, Format]] = _table(
    Format(name="onnx", executable=True, suffixes=(".onnx",), described="one .onnx file, with its weight files"),
    Format(name="tflite", executable=True, suffixes=(".tflite",), described="one .tflite file"),
    Format(
        name="saved_model",
        executable=True,
        names=("saved_model.pb",),
        described="a folder with saved_model.pb, its variables/ and assets/",
    ),
    Format(name="torchscript", executable=True, suffixes=(".pt", ".ts"), described="one TorchScript file, .pt or .ts"),
    Format(name="torch_export", executable=True, suffixes=(".pt2",), described="one torch.export program, .pt2"),
    Format(name="keras", executable=False, suffixes=(".keras",), described="one .keras archive"),
    Format(
        name="jax_export",
        executable=False,
        suffixes=(".jax_export", ".jaxexport"),
        described="one jax.export file, .jax_export",
    ),
    Format(
        name="factory",
        executable=False,
        names=("factory.json", "factory.py", "weights.safetensors"),
        described="a folder with factory.json, factory.py and weights.safetensors",
    ),
)
"""Every format, by name."""


def detect(paths: Iterable[str]) -> Format:
    """The format that a set of files has.

    Args:
        paths: Relative POSIX paths of all files of an upload or a bundle.

    Raises:
        ModelError: ``MODEL_003`` if the paths name no format or several, or one of them is a pickle by its name.
    """
    given = tuple(paths)
    check_no_pickles(given)
    found = [form for form in FORMATS.values() if any(form.is_main(path) for path in given)]
    if len(found) != 1:
        names = ", ".join(form.name for form in found) or "no known format"
        raise _refused(given, f"files of {names}; expected exactly one of: {_described()}")
    found[0].main(given)
    return found[0]


def format_named(name: str) -> Format:
    """The format of that name.

    Raises:
        ModelError: ``MODEL_003`` if there is none.
    """
    form = FORMATS.get(name)
    if form is None:
        raise ModelError(
            ErrorCode.MODEL_INVALID, f"Format {name[:64]!r} is not known; expected one of {', '.join(sorted(FORMATS))}."
        )
    return form


def check_no_pickles(paths: Iterable[str]) -> None:
    """Refuses files that are pickles by their names.

    Raises:
        ModelError: ``MODEL_003`` naming the first.
    """
    for path in paths:
        if PurePosixPath(path).suffix.lower() in PICKLES:
            raise ModelError(
                ErrorCode.MODEL_INVALID,
                f"File {path!r} is a pickle by its name; to read a pickle is to run it, so none is accepted. "
                "Save weights as .safetensors, or export the model (torch.export, TorchScript, ONNX, SavedModel, .keras).",
                details={"path": path},
            )


def _described() -> str:
    return "; ".join(f"{form.name}: {form.described}" for form in FORMATS.values())


def _refused(paths: tuple[str, ...], reason: str) -> ModelError:
    return ModelError(
        ErrorCode.MODEL_INVALID,
        f"The format cannot be told: the {len(paths)} files hold {reason}.",
        details={"files": list(paths[:_SHOWN])},
    )
