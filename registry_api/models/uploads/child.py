# SPDX-License-Identifier: Apache-2.0
"""Has a child process read a model, so that a hostile one meets a short-lived process and not the registry.

What a runner loads is read by ``python -m runners inspect FOLDER``, what is only converted by ``python -m converters inspect
FOLDER``; both answer alike.
The child has its own process group, no settings and no secrets in its environment, and limits on wall time, CPU time, address
space and written bytes. Nothing in the folder is ever imported: an upload may hold a ``runners/__main__.py``. Whatever is
left of its group when this returns is killed.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import sys
from asyncio.subprocess import DEVNULL, PIPE, Process
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from artifacts.formats import detect
from registry_api.jobs.process import plain_environment

REPOSITORY: Final = Path(__file__).resolve().parents[3]
_ANSWER_BYTES: Final = 1 << 20
_ERROR_BYTES: Final = 1 << 14  # of stderr, kept for the log
_PROGRAMS: Final = {True: "runners", False: "converters"}  # by whether a runner loads the format


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildLimits:
    """What the child may use."""

    wall_seconds: float
    memory_bytes: int  # address space


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildResult:
    """How the child ended."""

    status: int  # exit status; negative for a signal
    answer: bytes  # its stdout, cut at 1 MiB
    stderr: str  # the beginning, for the log only


async def inspect_in_child(folder: Path, limits: ChildLimits) -> ChildResult:
    """Has a child read the model in ``folder``, with the weight files beside it, and describe it.

    Raises:
        TimeoutError: If it took longer than its wall time; it was killed.
        ModelError: ``MODEL_003`` if the files are of no format.
    """
    program = await asyncio.to_thread(_program, folder)
    temporary = folder.parent / "tmp"
    temporary.mkdir(mode=0o700, exist_ok=True)
    child = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", program, "inspect", str(folder)),  # -P: the working folder is no place for code
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=PIPE,
        cwd=folder.parent,
        env={**plain_environment(), "PYTHONPATH": str(REPOSITORY), "TMPDIR": str(temporary)},
        start_new_session=True,
    )
    try:
        _limit(child.pid, limits)
        async with asyncio.timeout(limits.wall_seconds):
            answer, stderr = await _read(child)
            status = await child.wait()
    finally:
        await _end(child)
    return ChildResult(status=status, answer=answer, stderr=stderr.decode(errors="replace"))


def _program(folder: Path) -> str:
    paths = (path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    return _PROGRAMS[detect(paths).executable]


def _limit(pid: int, limits: ChildLimits) -> None:
    cpu = int(limits.wall_seconds * (os.cpu_count() or 1)) + 1  # ends the child even if the registry is killed
    with suppress(ProcessLookupError):
        resource.prlimit(pid, resource.RLIMIT_AS, (limits.memory_bytes, limits.memory_bytes))
        resource.prlimit(pid, resource.RLIMIT_CPU, (cpu, cpu))
        # Some runtimes read folders only: their backends write the model to a file system in memory.
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (limits.memory_bytes, limits.memory_bytes))
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))


async def _read(child: Process) -> tuple[bytes, bytes]:
    assert child.stdout is not None  # PIPE was asked for
    assert child.stderr is not None
    return await asyncio.gather(_beginning(child.stdout, _ANSWER_BYTES), _beginning(child.stderr, _ERROR_BYTES))


async def _beginning(stream: asyncio.StreamReader, limit: int) -> bytes:
    kept = bytearray()
    while chunk := await stream.read(1 << 16):  # the rest is read and dropped, so that the child never blocks
        kept += chunk[: limit - len(kept)]
    return bytes(kept)


async def _end(child: Process) -> None:
    with suppress(ProcessLookupError):
        os.killpg(child.pid, signal.SIGKILL)
    await child.wait()
