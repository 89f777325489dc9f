# SPDX-License-Identifier: Apache-2.0
"""``python -m converters inspect FOLDER``: the signature of a model that no runner loads, read in the sandbox.

Prints one JSON line as ``python -m runners inspect`` does: ``{"inputs", "outputs", "precision"}`` and exit code 0, or
``{"error": {"code", "message"}}`` and exit code 3.
"""

from __future__ import annotations

import resource
import tempfile
from pathlib import Path
from typing import Any, Final

import msgspec

from artifacts.formats import detect
from converters.sandbox import Limits, run_step
from converters.steps import InspectStep
from core.errors import FuroshikiError

REFUSED: Final = 3
SECONDS: Final = 300.0
MEMORY_BYTES: Final = 12 << 30  # TensorFlow reserves that much address space


def inspect(folder: Path) -> tuple[int, dict[str, Any]]:
    """Reads the model; the exit code and what to print.

    Raises:
        OSError: The folder cannot be read.
    """
    root = folder if folder.is_dir() else folder.parent
    paths = [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]
    try:
        form = detect(paths if folder.is_dir() else [folder.name])
        arguments = InspectStep(folder=str(root / form.folder(paths)), format=form.name, executable=form.executable)
        with tempfile.TemporaryDirectory(prefix="furoshiki-") as place:
            ended = run_step("inspect", arguments, folder=Path(place), limits=_limits())
    except FuroshikiError as error:
        return REFUSED, {"error": {"code": str(error.code), "message": error.message}}
    return 0, msgspec.json.decode(ended.result, type=dict[str, Any])


def _limits() -> Limits:
    """This process's own bounds, which whoever started it has set, where they are narrower."""
    own = resource.getrlimit(resource.RLIMIT_AS)[0]
    memory = MEMORY_BYTES if own == resource.RLIM_INFINITY else min(MEMORY_BYTES, own)
    return Limits(wall_seconds=SECONDS, memory_bytes=memory)
