# SPDX-License-Identifier: Apache-2.0
"""``python -m runners inspect PATH``: prints a model's signature as one JSON line. ``tune SPEC``: :mod:`runners.tuning.job`.
``devices [--json]``: what this machine can run models on, see :mod:`runners.discovery`.

PATH is the model file, or a folder that holds it with what belongs to it; its format is told by the names of the files
(:mod:`artifacts.formats`), or by ``--format`` for one that a plugin brings. The registry starts this as a child with limits,
so that a hostile file meets a short-lived process, which keeps of the file system only what it loads modules from and the
temporary folder. Exit codes: 0 with ``{"inputs", "outputs", "precision"}``; 3 with
``{"error": {"code", "message"}}`` when no runtime loads the file; 2 with a sentence on stderr when it cannot be read.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

import orjson

from artifacts.formats import FORMATS, detect
from core.confinement import confine
from core.errors import ErrorCode, FuroshikiError, ModelError
from core.tensors import TensorSpec
from runners.interface import Runner, RunnerOptions, StatesPrecision
from runners.loading import backend_of, backends
from runners.precision import precision_of_edges

REFUSED: Final = 3


def describe(runner: Runner) -> dict[str, Any]:
    """A loaded model as JSON values; where it does not state its precision, that of its floating inputs and outputs."""
    signature = runner.signature
    return {
        "inputs": [_tensor(spec) for spec in signature.inputs],
        "outputs": [_tensor(spec) for spec in signature.outputs],
        "precision": runner.precision if isinstance(runner, StatesPrecision) else precision_of_edges(signature),
    }


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.dtype.oip, "shape": list(spec.shape)}


def inspect(files: dict[str, bytes], model_format: str | None = None) -> tuple[int, dict[str, Any]]:
    """Loads the model and describes it; the exit code and what to print.

    Args:
        files: Contents by path within the model's folder.
        model_format: Its format; None: as the names of the files say.
    """
    try:
        name = model_format or detect(files).name
        if name in FORMATS and not FORMATS[name].executable:
            message = f"Format {name!r} is run by no runner; it is converted first (python -m converters inspect)."
            raise ModelError(ErrorCode.MODEL_INVALID, message)
        runner = backend_of(name).load(files, options=RunnerOptions())
    except FuroshikiError as error:
        return REFUSED, {"error": {"code": str(error.code), "message": error.message}}
    except MemoryError:
        message = "The model needs more memory than its inspection may use."
        return REFUSED, {"error": {"code": str(ErrorCode.MODEL_INVALID), "message": message}}
    return 0, describe(runner)


def _read(path: Path) -> dict[str, bytes]:
    root = path if path.is_dir() else path.parent
    paths = [found for found in path.rglob("*") if found.is_file()] if path.is_dir() else [path]
    return {found.relative_to(root).as_posix(): found.read_bytes() for found in paths}


def _inspect(asked: argparse.Namespace) -> int:
    """Prints the description of a model."""
    channel = os.dup(1)
    os.dup2(2, 1)  # whatever a runtime prints is talk; only the answer goes to stdout
    files = _read(asked.path)
    os.environ["HOME"] = tempfile.gettempdir()  # Keras looks for settings there and fails where it may not read
    confine(write=[Path(tempfile.gettempdir())])
    code, answer = inspect(files, asked.format)
    with os.fdopen(channel, "wb") as stdout:
        stdout.write(orjson.dumps(answer) + b"\n")
    return code


def _tune(asked: argparse.Namespace) -> int:
    """Measures; imported here only, so that an inspection starts as fast as it can."""
    from runners.tuning.job import run

    return run(asked.path)


def _devices(asked: argparse.Namespace) -> int:
    """Prints what this machine has."""
    from runners.discovery import as_text, discover

    found = discover(backends())
    print(orjson.dumps(found).decode() if asked.json else as_text(found))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m runners")
    commands = parser.add_subparsers(required=True)
    inspecting = commands.add_parser("inspect", help="print the inputs and outputs of a model")
    inspecting.add_argument("path", type=Path)
    inspecting.add_argument("--format", help="the format, if the names of the files do not tell")
    inspecting.set_defaults(work=_inspect)
    tuning = commands.add_parser("tune", help="measure the bundle that a spec file names")
    tuning.add_argument("path", type=Path)
    tuning.set_defaults(work=_tune)
    devices = commands.add_parser("devices", help="print what this machine can run models on")
    devices.add_argument("--json", action="store_true", help="as one JSON line")
    devices.set_defaults(work=_devices)
    return parser


def main() -> int:
    parser = _parser()
    asked = parser.parse_args()
    try:
        code: int = asked.work(asked)
    except OSError as error:
        parser.error(f"{asked.path} cannot be read: {error.strerror}")
    return code


if __name__ == "__main__":
    sys.exit(main())
