# SPDX-License-Identifier: Apache-2.0
"""The verified bytes of a SavedModel as a folder, because TensorFlow reads folders only.

The folder has mode 0700, lies in memory (``/dev/shm``; elsewhere the system's temporary folder) and is gone when the model is
loaded: what is read is what was verified, and no other user can put something in its place.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import Final

from artifacts.formats import FORMATS

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 -- the folder made in it is private


@contextmanager
def saved_model_folder(files: Mapping[str, bytes]) -> Iterator[Path]:
    """The folder that holds ``saved_model.pb``, until the block ends.

    Args:
        files: The bundle's files by path; a bundle's paths are relative and have no ``..``.

    Raises:
        ModelError: ``MODEL_003`` if there is not exactly one ``saved_model.pb``.
    """
    root = PurePosixPath(FORMATS["saved_model"].folder(files))
    with _private() as made:
        folder = Path(made)
        for path, data in files.items():
            if root in PurePosixPath(path).parents or root == PurePosixPath("."):
                target = folder / PurePosixPath(path).relative_to(root)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(data)
        yield folder


def _private() -> tempfile.TemporaryDirectory[str]:
    try:
        return tempfile.TemporaryDirectory(prefix="furoshiki-", dir=_MEMORY)
    except OSError:  # there is none, or this process is confined to other folders
        return tempfile.TemporaryDirectory(prefix="furoshiki-")
