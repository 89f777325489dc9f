# SPDX-License-Identifier: Apache-2.0
"""Runs one step in a process of its own, which may be hostile: what the model's author wrote may run in it.

The step has its own process group, a private home and temporary folder, no network, no files but those it is named, no
standard input, a plain environment (nothing of this process's own), bounds on time, memory and written bytes, and it ends
with this process. What it prints goes to this process's stderr, the job's log. When this function returns, however it does,
nothing of its group is left.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import msgspec

from core.errors import ErrorCode, FuroshikiError, JobError, ModelError, Unavailable

REPOSITORY: Final = Path(__file__).resolve().parents[1]
_PASSED: Final = ("LANG", "LC_ALL", "TZ", "FUROSHIKI_JOB_ID", "FUROSHIKI_CONVERTERS_STATE")
_LOOK_SECONDS: Final = 0.02
_ROOM: Final = 1 << 20  # bytes; less than this left means that the disk is full


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a step may use."""

    wall_seconds: float
    memory_bytes: int  # address space
    file_bytes: int = 1 << 35  # of one written file
    threads: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """How a step ended well."""

    result: msgspec.Raw  # what it gave, as JSON
    seconds: float
    peak_bytes: int  # resident, of it and what it waited for
    network: str  # how it had none
    files: str  # how it was confined to those it was named


class Arguments(msgspec.Struct, frozen=True, kw_only=True):
    """What a step is given; absolute paths."""

    def reads(self) -> tuple[str, ...]:
        """Files and folders that the step reads; unless it names some, none."""
        return ()

    def writes(self) -> tuple[str, ...]:
        """Files and folders that it changes, beside its own folder."""
        return ()


class Answer(msgspec.Struct, kw_only=True):
    """What a step writes before it ends."""

    network: str
    files: str
    result: msgspec.Raw = msgspec.Raw(b"null")
    code: str = ""  # of the error; empty: none
    message: str = ""


class Order(msgspec.Struct, kw_only=True):
    """What a step is told."""

    work: str  # key of converters.steps.WORK
    arguments: msgspec.Raw
    answer: str  # file
    memory_bytes: int
    cpu_seconds: int
    file_bytes: int
    parent: int  # process that started it
    reads: tuple[str, ...]  # files and folders; and writes: the same, where it may change everything
    writes: tuple[str, ...]


def run_step(
    work: str, arguments: Arguments, *, folder: Path, limits: Limits, look: Callable[[], None] = lambda: None
) -> Ended:
    """Runs a step to its end. Blocks.

    Args:
        work: Which, a key of :data:`converters.steps.WORK`.
        arguments: Of that step; they name the files it may reach.
        folder: Private and empty; home and temporary files of the step. Left to the caller to remove.
        limits: See there.
        look: Called often while it runs; what it raises ends the step.

    Raises:
        FuroshikiError: What the step refused with, under its own code.
        ModelError: ``MODEL_003`` if it needed more memory than it may use.
        Unavailable: ``STORE_004`` if the disk is full.
        JobError: ``JOB_003`` if it took too long, ``JOB_002`` if it ended without an answer.
    """
    answer = folder / "answer.json"
    order = Order(
        work=work,
        arguments=msgspec.Raw(msgspec.json.encode(arguments)),
        answer=str(answer),
        memory_bytes=limits.memory_bytes,
        cpu_seconds=int(limits.wall_seconds * (os.cpu_count() or 1)) + 1,
        file_bytes=limits.file_bytes,
        parent=os.getpid(),
        reads=arguments.reads(),
        writes=(str(folder), *arguments.writes()),
    )
    (folder / "order.json").write_bytes(msgspec.json.encode(order))
    started = time.monotonic()
    status, peak = _run(folder, limits, look)
    look()
    told = _read(answer)
    if told is None:
        raise _died(work, status, folder, limits)
    if told.code:
        raise _carried(told)
    seconds = time.monotonic() - started
    return Ended(result=told.result, seconds=seconds, peak_bytes=peak, network=told.network, files=told.files)


def _run(folder: Path, limits: Limits, look: Callable[[], None]) -> tuple[int, int]:
    """Starts the step and waits; its wait status and peak memory."""
    for name in ("home", "tmp"):
        (folder / name).mkdir(mode=0o700)
    child = subprocess.Popen(  # noqa: S603 -- fixed arguments
        [sys.executable, "-P", "-m", "converters", "step", str(folder / "order.json")],
        cwd=folder,
        env=environment(folder, threads=limits.threads),
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr.fileno(),
        stderr=sys.stderr.fileno(),
        process_group=0,
    )
    try:
        return _wait(child, time.monotonic() + limits.wall_seconds, limits, look)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _wait(child: subprocess.Popen[bytes], end: float, limits: Limits, look: Callable[[], None]) -> tuple[int, int]:
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            child.returncode = os.waitstatus_to_exitcode(status)
            return child.returncode, usage.ru_maxrss * 1024
        if time.monotonic() > end:
            message = f"The step took longer than the {limits.wall_seconds:.0f} s it may take; it was ended."
            raise JobError(ErrorCode.JOB_TIMEOUT, message)
        look()
        time.sleep(_LOOK_SECONDS)


def environment(folder: Path, *, threads: int) -> dict[str, str]:
    """The whole environment of a step."""
    kept = {name: os.environ[name] for name in _PASSED if name in os.environ}
    if "FUROSHIKI_CONVERTERS_STATE" not in kept:
        from converters.environments.onnx2tf import state_folder

        kept["FUROSHIKI_CONVERTERS_STATE"] = str(state_folder())  # the step's own home is another
    quiet: Mapping[str, str] = {
        "CUDA_VISIBLE_DEVICES": "",
        "JAX_PLATFORMS": "cpu",
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_ENABLE_ONEDNN_OPTS": "0",
        "TORCH_FORCE_WEIGHTS_ONLY_LOAD": "1",
        "HF_HUB_OFFLINE": "1",
        "ORT_DISABLE_TELEMETRY": "1",
        "OMP_NUM_THREADS": str(threads),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "PYTHONHASHSEED": "0",
    }
    places = {
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "XDG_CACHE_HOME": str(folder / "home" / ".cache"),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), "/usr/bin", "/bin"]),
        "PYTHONPATH": str(REPOSITORY),
    }
    return {**kept, **quiet, **places}


def _read(path: Path) -> Answer | None:
    try:
        return msgspec.json.decode(path.read_bytes(), type=Answer)
    except (OSError, msgspec.MsgspecError):
        return None


def _carried(told: Answer) -> FuroshikiError:
    """The step's own error; its class says who can do something about it."""
    code = ErrorCode(told.code)
    kinds: dict[ErrorCode, type[FuroshikiError]] = {
        ErrorCode.MODEL_INVALID: ModelError,
        ErrorCode.JOB_FAILED: JobError,
        ErrorCode.STORE_FULL: Unavailable,
        ErrorCode.DEVICE_UNAVAILABLE: Unavailable,
    }
    return kinds.get(code, FuroshikiError)(code, told.message)


def _died(work: str, status: int, folder: Path, limits: Limits) -> FuroshikiError:
    left = os.statvfs(folder)
    if left.f_bavail * left.f_frsize < _ROOM:
        return Unavailable(ErrorCode.STORE_FULL, "The disk has no room for the conversion.")
    how = f"signal {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    return JobError(
        ErrorCode.JOB_FAILED,
        f"The step {work!r} was ended by {how} without an answer; a step that needs more than its {limits.memory_bytes} "
        "bytes of memory may end so. The job's log has what it printed.",
    )
