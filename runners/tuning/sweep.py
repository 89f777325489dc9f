# SPDX-License-Identifier: Apache-2.0
"""Measures a model on this device: executions at once x threads inside each x rows of a batch.

Bounded by a budget that every pair of instances and threads gets an equal share of. Rows are doubled until two larger
batches in a row bring no more throughput; what is left out is no faster. No pair uses more cores than there are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from artifacts.tuning import Point
from core.clock import Clock
from core.errors import ErrorCode, FuroshikiError, ModelError, TensorError
from core.tensors import Signature, TensorSpec
from runners.batching.options import BatchOptions
from runners.interface import Runner
from runners.tuning.inputs import candidates, make_inputs
from runners.tuning.measuring import Effort, measure, warm_up

Load: TypeAlias = Callable[[int], Runner]  # with that many threads inside an execution
Told: TypeAlias = Callable[[Point, float], None]  # a point, and the fraction of the work that is done

_GAIN: Final = 1.02  # less is no gain
_FLAT: Final = 2  # larger batches without a gain, after which none larger is tried


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepOptions:
    """Bounds of the measurements."""

    cores: int  # that may be kept busy
    budget_s: float = 60.0  # of all measurements together
    most_rows: int = 64  # of a batch
    effort: Effort = field(default_factory=Effort)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """How executions share the cores."""

    instances: int
    threads: int


def pairs(cores: int) -> tuple[Pair, ...]:
    """What is tried: powers of two and all cores, those that fit; pairs of equal threads are neighbours."""
    counts = _doubled(cores)
    return tuple(Pair(instances=i, threads=t) for t in counts for i in counts if i * t <= cores)


def rows_to_try(signature: Signature, batching: BatchOptions, most: int) -> tuple[int, ...]:
    """The rows of a batch that are tried; one number if the model leaves no choice."""
    if batching.fixed is not None:
        return (batching.fixed,)
    if not signature.batched:
        return (1,)
    return _doubled(min(most, batching.most or most))


def sweep(load: Load, batching: BatchOptions, *, options: SweepOptions, clock: Clock, told: Told) -> tuple[Point, ...]:
    """Measures, within the budget.

    Args:
        load: Loads the model.
        batching: What it declares about its batches.
        options: Bounds.
        clock: Tells the time.
        told: Told of each point.

    Raises:
        ModelError: ``MODEL_003`` if the model cannot process any input made for it, or not within the budget.
    """
    end = clock.monotonic() + options.budget_s
    found: list[Point] = []
    runner, threads, specs = load(1), 1, None
    try:
        todo = pairs(options.cores)
        for number, pair in enumerate(todo):
            if pair.threads != threads:
                runner.close()
                runner, threads = load(pair.threads), pair.threads
            specs = specs or _accepted(runner, batching, end, clock)
            share = _share(clock, end, len(todo) - number)
            tried = rows_to_try(runner.signature, batching, options.most_rows)
            for done, point in _climb(
                runner=runner, specs=specs, pair=pair, tried=tried, effort=options.effort, until=share, clock=clock
            ):
                found.append(point)
                told(point, (number + done / len(tried)) / len(todo))
    finally:
        runner.close()
    if not found:
        raise ModelError(
            ErrorCode.MODEL_INVALID, f"The model cannot be tuned: no execution ended within {options.budget_s:g} s."
        )
    return tuple(found)


def _climb(
    *,
    runner: Runner,
    specs: tuple[TensorSpec, ...],
    pair: Pair,
    tried: tuple[int, ...],
    effort: Effort,
    until: float,
    clock: Clock,
) -> Iterator[tuple[int, Point]]:
    """Larger and larger batches, as long as there is time and they gain; with each the number of those tried."""
    best, flat = 0.0, 0
    for done, rows in enumerate(tried, start=1):
        if flat == _FLAT or (done > 1 and clock.monotonic() >= until):
            return
        inputs = make_inputs(specs, rows)
        measured = measure(runner, inputs, instances=pair.instances, effort=effort, until=until, clock=clock)
        if measured is None:
            return
        rate = rows * measured.runs_per_s
        flat = 0 if rate > _GAIN * best else flat + 1
        best = max(best, rate)
        yield (
            done,
            Point(
                instances=pair.instances,
                threads=pair.threads,
                rows=rows,
                rows_per_s=round(rate, 3),
                p50_ms=round(1e3 * measured.p50_s, 6),
            ),
        )


def _accepted(runner: Runner, batching: BatchOptions, until: float, clock: Clock) -> tuple[TensorSpec, ...]:
    """Inputs the model can process."""
    reason: FuroshikiError | None = None
    for specs in candidates(runner.signature, batching):
        try:
            warm_up(runner, make_inputs(specs, 1), until=until, clock=clock)
        except TensorError as error:
            reason = reason or error
        else:
            return specs
    raise ModelError(
        ErrorCode.MODEL_INVALID,
        "The model cannot be tuned: it can process none of the inputs made from its signature: "
        f"{'' if reason is None else reason.message}",
    )


def _share(clock: Clock, end: float, pairs_left: int) -> float:
    now = clock.monotonic()
    return now + max(0.0, end - now) / pairs_left


def _doubled(most: int) -> tuple[int, ...]:
    """1, 2, 4, … and ``most``."""
    powers = [1 << exponent for exponent in range(most.bit_length())]
    return tuple(sorted({*powers, most}))
