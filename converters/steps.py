# SPDX-License-Identifier: Apache-2.0
"""What runs inside the sandbox: ``python -m converters step ORDER.json``. One step, one process.

Before it touches the model the process bounds itself, leaves the network (:mod:`converters.isolation`) and gives up every
file but those of the order (:mod:`core.confinement`). An exception of a converter becomes ``MODEL_003`` with its reason, its
traceback goes to the log; a full disk becomes ``STORE_004``.
"""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from converters import isolation
from converters.environments import onnx2tf
from converters.interface import kind_and_reason
from converters.sandbox import Answer, Arguments, Order
from converters.spec import SignatureJson
from core.confinement import confine
from core.errors import ErrorCode, FuroshikiError, JobError, ModelError, Unavailable

FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class InspectStep(Arguments, frozen=True, kw_only=True):
    """Reads the signature of a model: of what runners load by ``python -m runners inspect``."""

    folder: str
    format: str
    executable: bool

    def reads(self) -> tuple[str, ...]:
        """The model."""
        return (self.folder,)


def main(path: Path) -> int:
    """Does what the order says and writes its answer; the exit status."""
    isolation.die_with_parent()
    order = msgspec.json.decode(path.read_bytes(), type=Order)
    if os.getppid() != order.parent:
        return 1  # it ended before the kernel knew that this process wants to end with it
    isolation.limit(memory_bytes=order.memory_bytes, cpu_seconds=order.cpu_seconds, file_bytes=order.file_bytes)
    answer = Answer(network=isolation.leave_network(), files=_confine(order))
    try:
        answer.result = msgspec.Raw(msgspec.json.encode(WORK[order.work](order.arguments)))
    except Exception as error:
        traceback.print_exc()
        coded = _coded(error, order)
        answer.code, answer.message = str(coded.code), coded.message
    sys.stderr.flush()
    part = Path(f"{order.answer}.part")
    part.write_bytes(msgspec.json.encode(answer))
    part.rename(order.answer)
    os._exit(0)  # runtimes may hang or crash while they end; everything that matters is written


def _confine(order: Order) -> str:
    made_by_others = (onnx2tf.LOCK, onnx2tf.folder())
    return confine(read=(*map(Path, order.reads), *made_by_others), write=map(Path, order.writes))


def _coded(error: Exception, order: Order) -> FuroshikiError:
    if isinstance(error, FuroshikiError):
        return error
    if isinstance(error, MemoryError):
        return ModelError(
            ErrorCode.MODEL_INVALID,
            f"The step {order.work!r} needs more than the {order.memory_bytes} bytes of memory it may use.",
        )
    if isinstance(error, OSError) and error.errno in FULL:
        return Unavailable(ErrorCode.STORE_FULL, f"The disk has no room for the conversion ({error.strerror}).")
    return ModelError(ErrorCode.MODEL_INVALID, f"The step {order.work!r} failed: {kind_and_reason(error)}")


def _inspect(arguments: msgspec.Raw) -> dict[str, Any]:
    asked = msgspec.json.decode(arguments, type=InspectStep)
    if asked.executable:
        return _inspected_by_runners(Path(asked.folder))
    from converters.sources.opening import signature_of

    return {
        **msgspec.to_builtins(SignatureJson.of(signature_of(Path(asked.folder), asked.format))),
        "precision": "fp32",
    }


def _inspected_by_runners(folder: Path) -> dict[str, Any]:
    ended = subprocess.run(  # noqa: S603 -- fixed arguments
        [sys.executable, "-P", "-m", "runners", "inspect", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        check=False,
        preexec_fn=isolation.die_with_parent,
    )
    try:
        found: dict[str, Any] = msgspec.json.decode(ended.stdout, type=dict[str, Any])
    except msgspec.MsgspecError:
        raise JobError(
            ErrorCode.JOB_FAILED, f"The result could not be inspected: exit status {ended.returncode}."
        ) from None
    if "error" in found:
        raise ModelError(ErrorCode.MODEL_INVALID, f"The runner refuses the result: {found['error'].get('message')}")
    return found


def _make(arguments: msgspec.Raw) -> object:
    from converters.working import MakeStep, Worker

    return Worker(msgspec.json.decode(arguments, type=MakeStep)).make()


WORK: Final[Mapping[str, Callable[[msgspec.Raw], object]]] = {
    "inspect": _inspect,
    "make": _make,
}
