# SPDX-License-Identifier: Apache-2.0
"""``python -m runners inspect PATH``: prints a model's signature as one JSON line. ``tune SPEC``: :mod:`runners.tuning.job`.

PATH is the model file, or a folder that holds it with its weight files. The registry starts this as a child with limits, so
that a hostile file meets a short-lived process. Exit codes: 0 with ``{"inputs", "outputs", "precision"}``; 3 with
``{"error": {"code", "message"}}`` when the runtime refuses the file; 2 with
a sentence on stderr when the file cannot be read.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any, Final

import orjson

from core.errors import ErrorCode, ModelError
from core.tensors import DType, Signature, TensorSpec
from runners.backends.onnx import OnnxCpuBackend
from runners.interface import RunnerOptions

REFUSED: Final = 3
_PRECISIONS: Final = {DType.FP16: "fp16", DType.BF16: "bf16", DType.FP64: "fp64"}


def describe(signature: Signature) -> dict[str, Any]:
    """The signature as JSON values; ``precision`` is that of the floating inputs and outputs, fp32 if there are none."""
    dtypes = {spec.dtype for spec in (*signature.inputs, *signature.outputs)}
    precision = next(
        (name for dtype, name in _PRECISIONS.items() if dtype in dtypes and DType.FP32 not in dtypes), "fp32"
    )
    return {
        "inputs": [_tensor(spec) for spec in signature.inputs],
        "outputs": [_tensor(spec) for spec in signature.outputs],
        "precision": precision,
    }


def _tensor(spec: TensorSpec) -> dict[str, Any]:
    return {"name": spec.name, "datatype": spec.dtype.oip, "shape": list(spec.shape)}


def inspect(path: Path) -> tuple[int, dict[str, Any]]:
    """Loads the model and describes it; the exit code and what to print."""
    try:
        runner = OnnxCpuBackend().load(_read(path), options=RunnerOptions())
    except ModelError as error:
        return REFUSED, {"error": {"code": str(error.code), "message": error.message}}
    except MemoryError:
        message = "The model needs more memory than its inspection may use."
        return REFUSED, {"error": {"code": str(ErrorCode.MODEL_INVALID), "message": message}}
    return 0, describe(runner.signature)


def _read(path: Path) -> dict[str, bytes]:
    root = path if path.is_dir() else path.parent
    paths = [found for found in path.rglob("*") if found.is_file()] if path.is_dir() else [path]
    return {found.relative_to(root).as_posix(): found.read_bytes() for found in paths}


def _inspect(path: Path) -> int:
    """Prints the description of a model."""
    channel = os.dup(1)
    os.dup2(2, 1)  # whatever a runtime prints is talk; only the answer goes to stdout
    code, answer = inspect(path)
    with os.fdopen(channel, "wb") as stdout:
        stdout.write(orjson.dumps(answer) + b"\n")
    return code


def _tune(path: Path) -> int:
    """Measures; imported here only, so that an inspection starts as fast as it can."""
    from runners.tuning.job import run

    return run(path)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m runners")
    commands = parser.add_subparsers(required=True)
    for name, work, purpose in (
        ("inspect", _inspect, "print the inputs and outputs of a model file"),
        ("tune", _tune, "measure the bundle that a spec file names"),
    ):
        command = commands.add_parser(name, help=purpose)
        command.add_argument("path", type=Path)
        command.set_defaults(work=work)
    asked = parser.parse_args()
    try:
        code: int = asked.work(asked.path)
    except OSError as error:
        parser.error(f"{asked.path} cannot be read: {error.strerror}")
    return code


if __name__ == "__main__":
    sys.exit(main())
