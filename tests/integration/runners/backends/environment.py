# SPDX-License-Identifier: Apache-2.0
"""The environment of a Bento that is served through tflite-runtime: exactly its lock, made with pip when it is first needed.

It lies beside the environments of converters, under the digest of its lock. Only one process makes it at a time; what a
killed one left half made is made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Final

from converters.environments.onnx2tf import state_folder
from deploy.local.stack import ROOT

LOCK: Final = ROOT / "deploy" / "locks" / "serving-tflite-runtime.txt"
_READY: Final = "furoshiki-ready"
_SECONDS: Final = 300.0
_TESTING: Final = ("pytest", "pluggy", "iniconfig")  # pure Python; the lock has the rest of what they need


def serving_python() -> Path:
    """The interpreter of the environment. Needs the package index when it is made."""
    where = state_folder() / f"serving-tflite-runtime-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:16]}"
    interpreter = where / "bin" / "python"
    where.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with (where.parent / f"{where.name}.lock").open("ab") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not (where / _READY).is_file():
            shutil.rmtree(where, ignore_errors=True)
            _run("venv", "--without-pip", str(where))
            arguments = ("--quiet", "install", "--no-deps", "--require-hashes", "--requirement", str(LOCK))
            _run("pip", "--python", str(interpreter), *arguments)
            _run("pip", "--python", str(interpreter), "check")
            (where / _READY).touch()
    return interpreter


def borrowed(folder: Path) -> dict[str, str]:
    """Environment variables that lend a process our code and this environment's pytest, which no lock of a Bento has.

    Args:
        folder: Where links to the packages are made.
    """
    folder.mkdir()
    for name in _TESTING:
        for file in metadata.files(name) or ():
            top = file.parts[0]
            if top.endswith((".dist-info", "__pycache__")) or top == ".." or (folder / top).exists():
                continue
            (folder / top).symlink_to(Path(str(metadata.distribution(name).locate_file(top))))
    return {**os.environ, "PYTHONPATH": f"{folder}:{ROOT}:{ROOT / 'sdk' / 'src'}", "PYTHONDONTWRITEBYTECODE": "1"}


def _run(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", *arguments], check=False, capture_output=True, text=True, timeout=_SECONDS
    )
    assert done.returncode == 0, f"{arguments}: {done.stderr[-1000:]}{done.stdout[-1000:]}"
