# SPDX-License-Identifier: Apache-2.0
"""The files of a push: which they are, how long, and their digests.

A file alone is pushed under its own name. A directory is pushed whole, hidden files included; a symlink or special
file in it is refused, because what is signed must be what is there.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from furoshiki.bundle.paths import check_paths
from furoshiki.errors import LOCAL_FILE, InvalidRequest, SignatureRefused
from furoshiki.progress import OnProgress, Progress
from furoshiki.steps import Steps, work

CHUNK: Final = 4 * 1024 * 1024  # bytes hashed between two looks at the event loop
FORMATS: Final = {
    ".onnx": "onnx",
    ".tflite": "tflite",
    "saved_model.pb": "saved_model",
    ".pt": "torchscript",
    ".ts": "torchscript",
    ".pt2": "torch_export",
    ".keras": "keras",
    ".jax_export": "jax_export",
    ".jaxexport": "jax_export",
    "factory.json": "factory",
}
"""Formats by how the name of the main file ends, or by its whole name."""
PICKLES: Final = frozenset({".pkl", ".pickle", ".joblib", ".pth", ".ckpt", ".dill", ".cloudpickle"})
"""How the names of files end that no registry takes: to read one is to run it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """One file to push."""

    location: Path
    path: str  # inside the version
    size: int  # bytes
    digest: str


def infer_format(files: list[str]) -> str:
    """The model format that the files' names say.

    Raises:
        InvalidRequest: ``VALID_002`` if they name none or several, ``MODEL_003`` if one is a pickle by its name.
    """
    if pickled := next((name for name in files if Path(name).suffix.lower() in PICKLES), None):
        raise InvalidRequest(
            "MODEL_003",
            f"File {pickled!r} is a pickle: to read it is to run it. Export the model, to ONNX for example.",
        )
    ends = (end for name in files for end in (Path(name).suffix, Path(name).name) if end in FORMATS)
    found = {FORMATS[end] for end in ends}
    if len(found) != 1:
        raise InvalidRequest(
            "VALID_002",
            f"The format cannot be told from the file names (found {sorted(found) or 'none'}); "
            f"expected one of {', '.join(FORMATS)}. Say it: format='onnx', or --format onnx.",
        )
    return found.pop()


def collect(root: Path, beside: Iterable[Path] = ()) -> list[tuple[Path, str, int]]:
    """Location, path inside the version, and size of every file to push, sorted by path.

    Args:
        root: A file, or a directory that is pushed whole.
        beside: More files, each under its own name.

    Raises:
        InvalidRequest: ``CLIENT_004`` if there is nothing to push or something that cannot be.
    """
    try:
        found = [(root, root.name)] if root.is_file() else list(_walk(root, ""))
        found += [(each, each.name) for each in beside]
        files = sorted(((place, name, place.stat().st_size) for place, name in found), key=lambda file: file[1])
        check_paths(name for _, name, _ in files)
    except OSError as error:
        raise _unreadable(root, error) from None
    except SignatureRefused as refusal:
        raise InvalidRequest(LOCAL_FILE, refusal.message) from None
    if not files:
        raise InvalidRequest(LOCAL_FILE, f"{str(root)!r} holds no file to push.")
    return files


def hash_files(files: list[tuple[Path, str, int]], progress: OnProgress | None) -> Steps[list[SourceFile]]:
    """Hashes every file, a piece at a time, so that an event loop stays alive and a cancellation is heard."""
    total = sum(size for _, _, size in files)
    done = 0
    hashed: list[SourceFile] = []
    for location, name, _ in files:
        try:
            with location.open("rb") as file:
                hasher, size = hashlib.sha256(), 0
                while read := (yield from work(lambda opened=file, into=hasher: _hash_piece(opened, into))):  # type: ignore[misc]
                    size += read
                    done += read
                    if progress is not None:
                        progress(Progress(phase="hash", path=name, done=done, total=total))
        except OSError as error:
            raise _unreadable(location, error) from None
        hashed.append(SourceFile(location=location, path=name, size=size, digest="sha256:" + hasher.hexdigest()))
    return hashed


def _hash_piece(file: BinaryIO, hasher: Any) -> int:
    piece = file.read(CHUNK)
    hasher.update(piece)
    return len(piece)


def _walk(folder: Path, prefix: str) -> list[tuple[Path, str]]:
    found: list[tuple[Path, str]] = []
    for entry in os.scandir(folder):
        name = prefix + entry.name
        if entry.is_dir(follow_symlinks=False):
            found += _walk(Path(entry.path), name + "/")
        elif entry.is_file(follow_symlinks=False):
            found.append((Path(entry.path), name))
        else:
            raise InvalidRequest(LOCAL_FILE, f"{entry.path!r} is a symlink or special file; push plain files.")
    return found


def _unreadable(location: Path, error: OSError) -> InvalidRequest:
    return InvalidRequest(LOCAL_FILE, f"Cannot read {str(location)!r}: {error.strerror or error}.")
