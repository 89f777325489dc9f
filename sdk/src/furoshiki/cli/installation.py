# SPDX-License-Identifier: Apache-2.0
"""Runs what is installed beside the SDK but no part of it: ``python -m artifacts.supply`` and the like.

The SDK imports none of the server. A module is looked for where Python looks for modules and beside the virtual environment,
as in a checkout; never in the current folder, where anything may lie, nor where everybody may write.
"""

from __future__ import annotations

import importlib.util
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Final

import msgspec

from furoshiki.cli.app import App
from furoshiki.errors import CONFIG_INVALID, AuthError, ConfigError, FuroshikiError, ServerFault
from furoshiki.replies import error_named

REFUSED: Final = 3  # exit status of a module that says on stderr why, in its last line
_UNNEEDED: Final = ("FUROSHIKI_API_KEY",)  # of no use to these modules


class _Refusal(msgspec.Struct):
    code: str
    message: str


def place_of(module: str) -> Path | None:
    """The folder from which ``python -m module`` runs; None if it is not installed."""
    package = module.partition(".")[0]
    spec = importlib.util.find_spec(package)
    found = [Path(spec.origin).parents[1]] if spec is not None and spec.origin is not None else []
    beside = Path(sys.prefix).parent
    if not beside.stat().st_mode & stat.S_IWOTH:
        found.append(beside)
    main = Path(*module.split("."), "__main__.py")
    return next((place for place in found if (place / main).is_file()), None)


def command(place: Path, module: str, arguments: Sequence[str]) -> tuple[list[str], Mapping[str, str]]:
    """What to start, and its environment. Nothing is imported from the current folder."""
    kept = {name: value for name, value in os.environ.items() if name not in _UNNEEDED}
    before = kept.get("PYTHONPATH")
    kept["PYTHONPATH"] = str(place) if not before else f"{place}{os.pathsep}{before}"
    return [sys.executable, "-P", "-m", module, *arguments], kept


def run_installed(app: App, module: str, arguments: Sequence[str]) -> str:
    """Runs a module of the server's installation; its stdin is ours, and what it remarks is remarked.

    Returns:
        Its stdout.

    Raises:
        ConfigError: ``CLIENT_001`` if it is not installed here.
        FuroshikiError: With the module's own code, if it refuses.
        ServerFault: ``INTERNAL_001`` if it ends in another way.
    """
    place = place_of(module)
    if place is None:
        raise ConfigError(
            CONFIG_INVALID, f"{module} is not installed here; run this from an installation of the Furoshiki server."
        )
    started, environment = command(place, module, arguments)
    with subprocess.Popen(  # noqa: S603 - our own interpreter and module
        started, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace"
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        remarks = _Remarks(app, child.stderr)
        told = child.stdout.read()
        last = remarks.end()
    if child.returncode == 0:
        if last:
            app.say(last)
        return told
    raise _failure(module, child.returncode, last)


class _Remarks:
    """Passes stderr on, line by line, all but the last, which may be a refusal."""

    def __init__(self, app: App, stream: IO[str]) -> None:
        self._app = app
        self._stream = stream
        self._last = ""
        self._thread = threading.Thread(target=self._pass_on, daemon=True)
        self._thread.start()

    def end(self) -> str:
        """Waits for the end of the stream; the last line."""
        self._thread.join()
        return self._last

    def _pass_on(self) -> None:
        for line in self._stream:
            if self._last:
                self._app.say(self._last)
            self._last = line.rstrip()


def _failure(module: str, status: int, last: str) -> FuroshikiError:
    try:
        refusal = msgspec.json.decode(last, type=_Refusal) if status == REFUSED else None
    except msgspec.DecodeError:
        refusal = None
    if refusal is None:
        return ServerFault("INTERNAL_001", f"{module} ended with status {status}: {last[:500]}")
    if refusal.code == "OCI_002":  # the credentials are those of whoever runs the command
        return AuthError(refusal.code, refusal.message)
    if refusal.code.startswith("INIT_"):
        return ConfigError(refusal.code, refusal.message)
    return error_named(refusal.code, refusal.message)
