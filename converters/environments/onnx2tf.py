# SPDX-License-Identifier: Apache-2.0
"""The environment of onnx2tf: exactly ``deploy/locks/onnx2tf.txt``, made with pip when it is first needed.

It lies in the state folder under the digest of its lock, so another lock means another environment and none is ever changed.
It is made outside the sandbox, which has no network; an image may ship it made (``python -m converters prepare``). Only one
process makes it at a time; what a killed one left half made is made again.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from core.errors import ErrorCode, Unavailable

LOCK: Final = Path(__file__).resolve().parents[2] / "deploy" / "locks" / "onnx2tf.txt"
STATE_VARIABLE: Final = "FUROSHIKI_CONVERTERS_STATE"
SECONDS: Final = 900.0  # for downloading and installing about 2 GB
_READY: Final = "furoshiki-ready"


def state_folder() -> Path:
    """Where environments lie: what ``FUROSHIKI_CONVERTERS_STATE`` names, else the user's cache."""
    named = os.environ.get(STATE_VARIABLE)
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(named) if named else Path(cache) / "furoshiki" / "environments"


def folder(state: Path | None = None) -> Path:
    """Of the environment, made or not."""
    digest = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    return (state or state_folder()) / f"onnx2tf-{digest[:16]}"


def python(state: Path | None = None) -> Path | None:
    """Its interpreter; None: it is not made yet."""
    where = folder(state)
    return where / "bin" / "python" if (where / _READY).is_file() else None


def available() -> str | None:
    """None if the environment is there or can be made, else the reason."""
    if not LOCK.is_file():
        return f"{LOCK.name} is not part of this installation"
    if python() is None and importlib.util.find_spec("pip") is None:
        return "its environment is not made and pip, which makes it, is not installed"
    return None


def ensure(state: Path | None = None) -> Path:
    """Makes the environment unless it is there. Needs the package index then; blocks for minutes.

    Returns:
        Its interpreter.

    Raises:
        Unavailable: ``DEVICE_001`` with the reason if it cannot be made.
    """
    found = python(state)
    if found is not None:
        return found
    where = folder(state)
    try:
        where.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with (where.parent / f"{where.name}.lock").open("ab") as guard:
            fcntl.flock(guard, fcntl.LOCK_EX)
            if python(state) is None:
                _make(where)
    except (OSError, subprocess.SubprocessError) as error:
        raise _unavailable(error) from None
    return where / "bin" / "python"


def _make(where: Path) -> None:
    shutil.rmtree(where, ignore_errors=True)
    interpreter = where / "bin" / "python"
    for arguments in (
        ["venv", "--without-pip", str(where)],
        [
            "pip",
            "--python",
            str(interpreter),
            "--quiet",
            "install",
            "--no-deps",
            "--require-hashes",
            "--requirement",
            str(LOCK),
        ],
    ):
        subprocess.run(  # noqa: S603 -- fixed arguments, paths of ours
            [sys.executable, "-m", *arguments],
            check=True,
            capture_output=True,
            timeout=SECONDS,
            stdin=subprocess.DEVNULL,
        )
    (where / _READY).touch()


def _unavailable(error: Exception) -> Unavailable:
    reason = str(error)
    if isinstance(error, subprocess.CalledProcessError):
        reason = " ".join(error.stderr.decode(errors="replace").split())[-400:]
    return Unavailable(
        ErrorCode.DEVICE_UNAVAILABLE,
        f"onnx2tf's environment cannot be made: {reason} Make it where the package index is reachable with "
        f"`python -m converters prepare`, or ship it under ${STATE_VARIABLE}.",
    )
