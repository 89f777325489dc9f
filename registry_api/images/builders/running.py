# SPDX-License-Identifier: Apache-2.0
"""How builders run a tool: without a shell and without input, what it prints told line by line and kept.

A Python that is started imports nothing from its working folder, which may be the Bento's. There is no time limit here: a
builder runs in a child process that is ended as a whole when the time of its job is up.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from core.errors import ErrorCode, JobError
from registry_api.images.builders.interface import Tell


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A tool that ran to its end."""

    what: str
    status: int
    printed: str  # both streams together

    def checked(self) -> str:
        """What it printed.

        Raises:
            JobError: ``JOB_002`` if it failed, with its last lines.
        """
        if self.status != 0:
            raise tool_failed(self.what, self.status, self.printed)
        return self.printed


def run(
    argv: Sequence[str],
    *,
    what: str,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    tell: Tell | None = None,
) -> Ended:
    """Runs a tool to its end.

    Args:
        argv: The command.
        what: Its name in errors.
        cwd: Its working folder; None: this process's.
        env: More of its environment than this process has, or other values.
        tell: Gets each line it printed, once it has ended; None: nobody.
    """
    done = subprocess.run(  # noqa: S603 - no shell; every part is ours or the operator's
        list(argv),
        cwd=cwd,
        env={**os.environ, "PYTHONSAFEPATH": "1", **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        check=False,
    )
    ended = Ended(what=what, status=done.returncode, printed=done.stdout.decode(errors="replace"))
    if tell is not None:
        for line in ended.printed.splitlines():
            tell(line)
    return ended


def tool_failed(what: str, status: int, lines: str) -> JobError:
    """A tool ended with an error: ``JOB_002``."""
    shown = lines[-2000:].strip() or "it said nothing"
    return JobError(ErrorCode.JOB_FAILED, f"{what} ended with status {status}: {shown}")
