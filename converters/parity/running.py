# SPDX-License-Identifier: Apache-2.0
"""Runs a model over rows in executions of one size, and measures two models in turns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Final

import numpy as np

from converters.parity.interface import LoadedModel
from converters.parity.matching import cast
from core.clock import Clock
from core.tensors import Array

ROWS: Final = 8  # N of "batch 1 and N"

_LEAST_RUNS: Final = 5
_MOST_RUNS: Final = 50
_SECONDS: Final = 1.0  # of one latency measurement, both models together


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One size of execution of the candidate, and the nearest that the source takes."""

    source: int
    candidate: int


def steps(source: tuple[int, ...] | None, candidate: tuple[int, ...] | None) -> tuple[Step, ...]:
    """Batch 1 and :data:`ROWS` where the candidate takes them, else its smallest and its largest size."""
    offered = (1, ROWS) if candidate is None else candidate or (1,)
    sizes = sorted({offered[0], offered[-1]})
    return tuple(Step(source=_nearest(source, size), candidate=size) for size in sizes)


def run_rows(
    model: LoadedModel, arrays: Mapping[str, Array], names: Mapping[str, str], *, size: int
) -> dict[str, Array]:
    """Every row's outputs, in executions of ``size`` rows; a last one that is too short repeats its last row.

    Args:
        model: The loaded model.
        arrays: Rows of each input by the source's name.
        names: The model's name of each.
        size: Rows of one execution; 1 for a model without a batch dimension.

    Raises:
        Exception: Whatever the runtime raises.
    """
    rows = len(next(iter(arrays.values())))
    parts: list[dict[str, Array]] = []
    for start in range(0, rows, size):
        real = min(size, rows - start)
        results = model.run(feed(model, arrays, names, start=start, size=size))
        parts.append({name: _cut(array, real, size, batched=model.sizes != ()) for name, array in results.items()})
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def feed(
    model: LoadedModel, arrays: Mapping[str, Array], names: Mapping[str, str], *, start: int, size: int
) -> dict[str, Array]:
    """The inputs of one execution, in the model's names and datatypes.

    Raises:
        TensorError: ``TENSOR_005`` if a value does not fit the model's datatype.
    """
    specs = {spec.name: spec for spec in model.signature.inputs}
    found: dict[str, Array] = {}
    for name, theirs in names.items():
        rows = arrays[name]
        taken = rows[np.minimum(np.arange(start, start + size), len(rows) - 1)]
        found[theirs] = cast(taken[0] if model.sizes == () else taken, specs[theirs])
    return found


def interleaved(first: Callable[[], object], second: Callable[[], object], *, clock: Clock) -> tuple[float, float]:
    """Median seconds of each of two pieces of work, done in turns for about a second, after one warm-up each.

    Raises:
        Exception: Whatever the work raises.
    """
    first()
    second()
    took: tuple[list[float], list[float]] = ([], [])
    until = clock.monotonic() + _SECONDS
    while len(took[0]) < _LEAST_RUNS or (len(took[0]) < _MOST_RUNS and clock.monotonic() < until):
        for work, times in zip((first, second), took, strict=True):
            began = clock.monotonic()
            work()
            times.append(clock.monotonic() - began)
    return median(took[0]), median(took[1])


def _nearest(sizes: tuple[int, ...] | None, wanted: int) -> int:
    if sizes is None:
        return wanted
    return min(sizes, key=lambda size: (abs(size - wanted), size), default=1)


def _cut(array: Array, real: int, size: int, *, batched: bool) -> Array:
    """The rows that were asked for; an output that has no rows counts as one."""
    rows = np.asarray(array)
    return rows[:real] if batched and rows.ndim and len(rows) == size else rows[None]
