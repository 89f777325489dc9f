# SPDX-License-Identifier: Apache-2.0
"""A runner that does to its process what a bad model does; ``y = 2 x + 1`` otherwise.

Copied into a folder of its own, with the entry point that makes it a plugin, so that the processes of models find it. The one
file of its bundle says what loading does, the first value of an input what running does.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from core.errors import ErrorCode, ModelError, OperatorError
from core.tensors import ANY, Array, DType, Signature, TensorSpec
from runners.interface import PORT_VERSION, Runner, RunnerOptions, StopSignal

ABORT, HOLD, GROW, LEAVE, PEEK = 666.0, 777.0, 888.0, 999.0, 555.0
SIGNATURE = Signature(
    inputs=(TensorSpec(name="x", dtype=DType.FP32, shape=(ANY, 2)),),
    outputs=(TensorSpec(name="y", dtype=DType.FP32, shape=(ANY, 2)),),
)
_SECRETS = ("/etc/passwd", "/etc/shadow")


class CrashingRunner:
    name = "crashing-cpu"
    signature = SIGNATURE

    def __init__(self) -> None:
        self._kept: list[Array] = []

    def run(self, inputs: Mapping[str, Array], stop: StopSignal | None = None) -> dict[str, Array]:
        x = inputs["x"]
        if (x == ABORT).any():
            os.abort()
        if (x == LEAVE).any():
            os._exit(7)
        if (x == GROW).any():
            self._kept.append(np.ones(2**27, np.float64))  # 1 GiB
        if (x == PEEK).any():
            return {"y": np.full(x.shape, sum(map(_reachable, (*_SECRETS, "network"))), np.float32)}
        while (x == HOLD).any():
            if stop is not None and stop.stopped:
                raise OperatorError(ErrorCode.INFERENCE_FAILED, "Stopped.")
            time.sleep(0.002)
        return {"y": 2 * x + 1}

    def close(self) -> None:
        self._kept.clear()


def _reachable(what: str) -> bool:
    try:
        if what == "network":
            socket.create_connection(("127.0.0.1", 9), timeout=1)
        else:
            Path(what).read_bytes()
    except PermissionError:
        return False
    except OSError:
        return True  # refused by the other end, not by the kernel
    return True


class CrashingBackend:
    name = "crashing-cpu"
    version = "1"
    formats = frozenset({"crashing"})

    def load(self, files: Mapping[str, bytes], *, options: RunnerOptions) -> Runner:
        (what,) = files.values()
        if what == b"abort":
            os.abort()
        if what == b"refuse":
            raise ModelError(ErrorCode.MODEL_INVALID, "Not today.")
        if what == b"sleep":
            time.sleep(600)
        if what == b"grow":
            np.ones(2**27, np.float64)
        return CrashingRunner()


class CrashingPlugin:
    port = PORT_VERSION
    name = "crashing-cpu"
    formats = frozenset({"crashing"})
    device = "cpu"

    def is_available(self) -> str | None:
        return None

    def backend(self) -> CrashingBackend:
        return CrashingBackend()
