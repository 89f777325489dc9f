# SPDX-License-Identifier: Apache-2.0
"""Executions of torch models as the runner executes them, and copies from the host to the device.

An execution is timed from the caller's arrays to the caller's arrays, so the copies both ways are in it. On a CPU there are
neither graphs nor pinned memory: what is left is measured there, to prove the measuring.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, Final

import numpy as np
import torch

from core.tensors import Array, Signature
from loadtests.gpu.models import layers
from loadtests.gpu.results import Case, Copy, Timing
from runners.backends.torch.cuda import CudaExecution
from runners.backends.torch.execution import CpuExecution, Execution

MODELS: Final = ("mlp", "convolutions")
CUDA: Final = "cuda"

Clock = Callable[[], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How much is measured."""

    rows: Sequence[int] = (1, 8, 32, 128)
    sizes: Sequence[int] = (1 << 12, 1 << 16, 1 << 20, 1 << 24, 1 << 28)  # bytes
    rounds: int = 20
    runs: int = 25  # in a row, per mode and round
    warm: int = 20  # before anything is timed: graphs are captured, libraries choose their kernels


QUICK: Final = Effort(rows=(1, 32), sizes=(1 << 12, 1 << 24), rounds=3, runs=10)


def executions(device: str, effort: Effort, clock: Clock = time.perf_counter_ns) -> list[Timing]:
    """Every model, batch and mode.

    Args:
        device: ``cuda`` or ``cpu``.
        effort: How much.
        clock: Nanoseconds from any beginning.
    """
    timings: list[Timing] = []
    for model, rows in product(MODELS, effort.rows):
        module, signature = layers(model)
        ways = _ways(device, module.to(device), signature, model, rows)
        timings += _timed(ways, _rows(signature, rows), effort, clock)
    return timings


def _ways(device: str, module: Any, signature: Signature, model: str, rows: int) -> Mapping[Case, Execution]:
    if device != CUDA:
        return {Case(model=model, rows=rows, graphs=False, pinned=False): CpuExecution(module, signature)}
    return {
        Case(model=model, rows=rows, graphs=graphs, pinned=pinned): CudaExecution(
            module, signature, graphs=graphs, pinned=pinned
        )
        for graphs, pinned in product((False, True), repeat=2)
    }


def _rows(signature: Signature, rows: int) -> list[Array]:
    random = np.random.default_rng(rows)
    return [random.normal(size=(rows, *spec.shape[1:])).astype(spec.dtype.numpy) for spec in signature.inputs]


def _timed(ways: Mapping[Case, Execution], arrays: list[Array], effort: Effort, clock: Clock) -> list[Timing]:
    for execute in ways.values():
        for _ in range(effort.warm):
            execute(arrays)
    taken: dict[Case, list[int]] = {case: [] for case in ways}
    for _ in range(effort.rounds):
        for case, execute in ways.items():
            for _ in range(effort.runs):
                began = clock()
                execute(arrays)
                taken[case].append(clock() - began)
    return [Timing(case=case, nanoseconds=samples) for case, samples in taken.items()]


def copies(device: str, effort: Effort, clock: Clock = time.perf_counter_ns) -> list[Copy]:
    """Copies of every size, from pageable and from page-locked memory.

    Args:
        device: As :func:`executions`.
        effort: How much.
        clock: Nanoseconds from any beginning.
    """
    found = []
    for size, pinned in product(effort.sizes, (False, True) if device == CUDA else (False,)):
        source = torch.ones(size, dtype=torch.uint8, pin_memory=pinned)
        target = torch.empty(size, dtype=torch.uint8, device=device)
        samples = [_copied(source, target, device, clock) for _ in range(effort.warm + effort.rounds)]
        found.append(Copy(bytes=size, pinned=pinned, nanoseconds=samples[effort.warm :]))
    return found


def _copied(source: Any, target: Any, device: str, clock: Clock) -> int:
    began = clock()
    target.copy_(source, non_blocking=True)
    if device == CUDA:
        torch.cuda.synchronize()
    return clock() - began
