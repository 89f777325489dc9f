# SPDX-License-Identifier: Apache-2.0
"""Measures works: in every round each contender is started alone, warmed up, measured at every level and ended.

Each round begins with another contender, so that none is always first. A contender that fails is left out of the rest of its
work and the run goes on; what was measured is on disk after every contender.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

from deploy.local.stack import NotStarted
from loadtests.bench.place import Place
from loadtests.bench.results import Failure, Results
from loadtests.bench.work import Contender, Meter, Sample, Work
from loadtests.servers import ServerFailed

_LOG_END: Final = 2000  # characters


def measure(results: Results, works: Sequence[Work], place: Place, *, tell: Callable[[str], None]) -> None:
    """Measures ``works`` into ``results``.

    Args:
        results: Gains samples and failures, and is written as it grows.
        works: What to measure, in this order.
        place: Where.
        tell: Told each sample and failure in a few words.
    """
    for work in works:
        failed: set[str] = set()
        field = [contender for contender in work.contenders if contender.peer not in results.without]
        for number in range(1, results.rounds + 1):
            first = (number - 1) % len(field)
            for contender in (*field[first:], *field[:first]):
                if contender.name in failed:
                    continue
                try:
                    with contender.open(place) as meter:
                        for sample in _samples(results, work, contender, meter, number):
                            results.samples.append(sample)
                            tell(_line(results, work, sample))
                except (ServerFailed, NotStarted, subprocess.CalledProcessError) as error:
                    failed.add(contender.name)
                    reason = _reason(error, place.log(contender.name))
                    tell(f"{work.name}: {contender.name} FAILED: {reason}")
                    results.failures.append(
                        Failure(work=work.name, contender=contender.name, round=number, reason=reason)
                    )
                results.write()


def _samples(results: Results, work: Work, contender: Contender, meter: Meter, number: int) -> Iterator[Sample]:
    if work.warm_s and contender.levels is None:
        meter(work.warm_level, min(work.warm_s, results.seconds) if results.quick else work.warm_s)
    for level in contender.levels or work.levels:
        metrics = meter(level, max(results.seconds, work.least_s))
        yield Sample(work=work.name, contender=contender.name, round=number, level=level, metrics=metrics)


def _line(results: Results, work: Work, sample: Sample) -> str:
    metrics = sample.metrics
    shown = ", ".join(f"{name} {metrics[name]:,.2f}" for name in work.columns if name in metrics)
    return f"{work.name} round {sample.round}/{results.rounds}: {sample.contender} at {sample.level}: {shown}"


def _reason(error: Exception, log: Path) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        return f"{error.cmd[0]} ended with {error.returncode}: {str(error.stderr)[-_LOG_END:]}"
    end = log.read_text(errors="replace")[-_LOG_END:] if log.exists() else ""
    return str(error) if not end or end in str(error) else f"{error}\nThe end of its log:\n{end}"
