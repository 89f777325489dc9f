# SPDX-License-Identifier: Apache-2.0
"""One measurement: a model run on as many threads as it will be served with, for a bounded time."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from statistics import median
from threading import Timer

from core.clock import Clock
from core.errors import FuroshikiError
from core.tensors import Array
from runners.interface import Runner, StopSignal


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long one point is measured."""

    runs: int = 5  # executions at least
    seconds: float = 0.15  # at least


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """What came of it."""

    runs_per_s: float
    p50_s: float


def measure(
    runner: Runner, inputs: Mapping[str, Array], *, instances: int, effort: Effort, until: float, clock: Clock
) -> Measured | None:
    """Runs a model over and over on ``instances`` threads.

    Args:
        runner: The loaded model.
        inputs: What every execution is given.
        instances: Threads.
        effort: How long.
        until: Moment of the monotonic clock at which no further execution begins.
        clock: Tells the time.

    Returns:
        None if not even one execution ended in time.

    Raises:
        FuroshikiError: What the runner raises.
    """
    if not warm_up(runner, inputs, until=until, clock=clock):
        return None
    began = clock.monotonic()
    enough, each = began + effort.seconds, math.ceil(effort.runs / instances)

    def work() -> list[float]:
        took: list[float] = []
        now = clock.monotonic()
        while not took or (now < until and (now < enough or len(took) < each)):
            runner.run(inputs)
            before, now = now, clock.monotonic()
            took.append(now - before)
        return took

    took = _on_threads(work, instances)
    seconds = max(clock.monotonic() - began, 1e-9)
    return Measured(runs_per_s=len(took) / seconds, p50_s=max(median(took), 1e-9))


def warm_up(runner: Runner, inputs: Mapping[str, Array], *, until: float, clock: Clock) -> bool:
    """Runs a model once; False if the time was up before it ended.

    Raises:
        FuroshikiError: What the runner raises.
    """
    stop = StopSignal()
    timer = Timer(max(0.0, until - clock.monotonic()), stop.stop)
    timer.start()
    try:
        runner.run(inputs, stop)
    except FuroshikiError:
        if not stop.stopped:
            raise
    finally:
        timer.cancel()
    return not stop.stopped


def _on_threads(work: Callable[[], list[float]], count: int) -> list[float]:
    with ThreadPoolExecutor(count) as pool:
        futures = [pool.submit(work) for _ in range(count)]
        return [seconds for future in futures for seconds in future.result()]
