# SPDX-License-Identifier: Apache-2.0
"""``reproduce.json``: what it takes to make a variant again. It lies in the bundle and is signed with it.

It holds no time and no path, so that the same conversion in the same environment writes the same bytes.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Iterable, Sequence
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Final

import msgspec
import rfc8785

from converters.environments import onnx2tf
from converters.interface import Recipe
from converters.lazy import LazyRecipe, installed
from converters.spec import ConvertSpec

NAME: Final = "reproduce.json"
_PLACES: Final = ("bundle", "trust", "output", "answer", "calibration", "budget_s", "memory_bytes")


def environment(steps: Iterable[Recipe]) -> dict[str, Any]:
    """What the result depends on: interpreter, machine, every installed distribution, and those that the steps import."""
    every = {found.metadata["Name"].lower(): found.version for found in distributions() if found.metadata["Name"]}
    used = {name: installed(name) for step in steps for name in step.needs}
    own = [step for step in steps if isinstance(step, LazyRecipe) and step.environment is not None]
    return {
        "python": platform.python_version(),
        "machine": platform.machine(),
        "system": platform.system(),
        "used": {name: version or "" for name, version in sorted(used.items())},
        "locks": {onnx2tf.LOCK.name: _digest(onnx2tf.LOCK.read_bytes())} if own else {},
        "distributions": dict(sorted(every.items())),
    }


def write(
    folder: Path,
    spec: ConvertSpec,
    *,
    variant: str,
    source_digest: str,
    calibration: str | None,
    steps: Sequence[Recipe],
) -> None:
    """Writes the file beside a result.

    Args:
        folder: Of the result.
        spec: What was asked for; places are left out.
        variant: Which of the results this is.
        source_digest: Of the manifest it was made from.
        calibration: Digest of the calibration data; None: there was none.
        steps: The recipes, in order.
    """
    asked = {key: value for key, value in msgspec.to_builtins(spec).items() if key not in _PLACES}
    document: dict[str, Any] = {
        "schema_version": 1,
        "variant": variant,
        "source": source_digest,
        "calibration": calibration,
        "route": [step.name for step in steps],
        "command": ["python", "-m", "converters", "run", "SPEC.json"],
        "spec": asked,
        "spec_digest": _digest(rfc8785.dumps(asked)),
        "environment": environment(steps),
    }
    (folder / NAME).write_bytes(rfc8785.dumps(document))


def digest_of(folder: Path) -> str:
    """Digest of all files of a folder, by path and content."""
    whole = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            whole.update(f"{path.relative_to(folder).as_posix()}\0{_digest(path.read_bytes())}\n".encode())
    return f"sha256:{whole.hexdigest()}"


def _digest(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"
