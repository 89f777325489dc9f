# SPDX-License-Identifier: Apache-2.0
"""Child processes of a job: started in their own session, bounded in time by the job, ended as a whole.

Rules. A child gets exactly the environment it is given plus the name of its job, so that a later attempt on the same machine
finds what a killed worker left running. Its output goes line by line to the job's log. When the waiting task is
cancelled (time is up, lease lost, job cancelled), the child's whole process group is ended before the cancellation goes on.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import PIPE, STDOUT, Process
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import psutil

INSTALLATION: Final = Path(__file__).resolve().parents[2]  # the folder of the top-level packages
JOB_VARIABLE: Final = "FUROSHIKI_JOB_ID"
GRACE_SECONDS: Final = 5.0  # between SIGTERM and SIGKILL
LINE_BYTES: Final = 8192  # a longer line is cut into pieces
_LOOK_SECONDS: Final = 0.02


def plain_environment() -> dict[str, str]:
    """What any Python child needs and nothing else: no setting and no secret of this process is passed on.

    The interpreter's own folder comes first on PATH, so that the tools installed beside it are found. numpy starts no threads
    of its own: children confine themselves, which threads that run already would escape.
    """
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    kept = {name: os.environ[name] for name in ("HOME", "LANG", "LC_ALL", "TMPDIR", "TZ") if name in os.environ}
    return {**kept, "PATH": path, "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1"}


def own_environment() -> dict[str, str]:
    """As :func:`plain_environment`, for children that run packages of this installation, wherever they work."""
    return plain_environment() | {"PYTHONPATH": str(INSTALLATION)}


async def run_child(
    argv: Sequence[str],
    *,
    job_id: str,
    env: Mapping[str, str],
    cwd: Path,
    log: Callable[[str], None],
    grace: float = GRACE_SECONDS,
) -> int:
    """Runs a command to its end.

    Args:
        argv: The command; no shell is involved.
        job_id: The job it belongs to.
        env: Its whole environment, to which the job's name is added.
        cwd: Its working folder.
        log: Gets each line of its output, without the newline.
        grace: Seconds between SIGTERM and SIGKILL when it is ended.

    Returns:
        The exit status; negative for a signal.
    """
    child = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        cwd=cwd,
        env={**env, JOB_VARIABLE: job_id},
        start_new_session=True,
    )
    try:
        await _copy_lines(child, log)
        return await child.wait()
    finally:
        await _end_group(child, grace)


async def _copy_lines(child: Process, log: Callable[[str], None]) -> None:
    assert child.stdout is not None  # PIPE was asked for
    rest = b""
    while chunk := await child.stdout.read(1 << 16):
        *lines, rest = (rest + chunk).split(b"\n")
        if len(rest) > LINE_BYTES:
            lines, rest = [*lines, rest], b""
        for line in lines:
            _log_pieces(line, log)
    if rest:
        _log_pieces(rest, log)


def _log_pieces(line: bytes, log: Callable[[str], None]) -> None:
    for start in range(0, len(line) or 1, LINE_BYTES):
        log(line[start : start + LINE_BYTES].decode("utf-8", "replace").rstrip("\r"))


async def _end_group(child: Process, grace: float) -> None:
    """Ends whatever is left of the child's group: politely, then for good. Does nothing if nothing is left."""
    if not _signal_group(child.pid, signal.SIGTERM):
        return
    with suppress(TimeoutError):
        async with asyncio.timeout(grace):
            await child.wait()
    _signal_group(child.pid, signal.SIGKILL)
    await child.wait()


def _signal_group(group: int, number: signal.Signals) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def find_by_variable(name: str, value: str) -> Iterator[psutil.Process]:
    """Processes of this user on this machine whose environment has ``name=value``; never this process."""
    for process in psutil.process_iter():
        with suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(name) == value:
                yield process


def end_by_variable(name: str, value: str) -> int:
    """Kills every process that carries ``name=value`` and waits until it is gone.

    Returns:
        How many there were.
    """
    ended = 0
    for _round in range(10):  # a process may start another while the list is read
        found = list(find_by_variable(name, value))
        if not found:
            break
        ended += len(found)
        for process in found:
            with suppress(psutil.Error):
                process.kill()
        wait_gone(found, seconds=GRACE_SECONDS)
    return ended


def wait_gone(processes: Iterable[psutil.Process], *, seconds: float) -> None:
    """Waits until none of the processes runs, or ``seconds`` have passed. Reaps nothing: that is for whoever started them."""
    end = time.monotonic() + seconds
    while any(_runs(process) for process in processes) and time.monotonic() < end:
        time.sleep(_LOOK_SECONDS)


def _runs(process: psutil.Process) -> bool:
    with suppress(psutil.Error):
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    return False
