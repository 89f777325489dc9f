# SPDX-License-Identifier: Apache-2.0
"""``python -m converters``: ``list`` the recipes, ``inspect FOLDER``, ``run SPEC.json``, ``prepare`` environments.

``step`` is what the others start in the sandbox. Exit codes: 0; 2 with a sentence on stderr when a file cannot be read
or is no spec; 3 with ``{"error": {"code", "message"}}`` when the model or the conversion is refused.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import msgspec


def _list(asked: argparse.Namespace) -> int:
    from converters.listing import as_json, as_text

    print(as_json() if asked.json else as_text())
    return 0


def _inspect(asked: argparse.Namespace) -> int:
    from converters.inspecting import inspect

    channel = os.dup(1)
    os.dup2(2, 1)  # whatever a runtime prints is talk; only the answer goes to stdout
    code, answer = inspect(asked.path)
    with os.fdopen(channel, "wb") as stdout:
        stdout.write(msgspec.json.encode(answer) + b"\n")
    return code


def _run(asked: argparse.Namespace) -> int:
    from converters.job import run

    return run(asked.path)


def _step(asked: argparse.Namespace) -> int:
    from converters.steps import main as step

    return step(asked.path)


def _prepare(_asked: argparse.Namespace) -> int:
    from converters.environments import onnx2tf
    from core.errors import FuroshikiError

    try:
        print(onnx2tf.ensure())
    except FuroshikiError as error:
        print(error, file=sys.stderr)
        return 3
    return 0


def main() -> int:
    """Reads the command line and does it; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m converters")
    commands = parser.add_subparsers(required=True)
    for name, work, purpose in (
        ("list", _list, "print every recipe and route"),
        ("prepare", _prepare, "make the environments that some recipes run in"),
        ("inspect", _inspect, "print the inputs and outputs of a model that no runner loads"),
        ("run", _run, "convert what a spec file names"),
        ("step", _step, "one step in the sandbox; started by the others"),
    ):
        command = commands.add_parser(name, help=purpose)
        command.set_defaults(work=work)
        if name == "list":
            command.add_argument("--json", action="store_true", help="as JSON")
        elif name != "prepare":
            command.add_argument("path", type=Path)
    asked = parser.parse_args()
    try:
        code: int = asked.work(asked)
    except (OSError, msgspec.MsgspecError) as error:
        parser.error(f"{getattr(asked, 'path', '')}: {error}")
    return code


if __name__ == "__main__":
    sys.exit(main())
