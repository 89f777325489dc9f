# SPDX-License-Identifier: Apache-2.0
"""Works and samples made by hand."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from loadtests.bench.place import Place
from loadtests.bench.results import Results, new_results
from loadtests.bench.work import OURS, Contender, Goal, Meter, Metrics, Sample, Work


def contender_of(name: str, *, peer: str | None = None) -> Contender:
    """A contender without a server: each figure is its level."""

    @contextmanager
    def opened(_: Place) -> Iterator[Meter]:
        def measure(level: int, seconds: float) -> Metrics:
            return {"per_second": float(level), "p50_ms": seconds, "p99_ms": 2 * seconds, "errors": 0}

        yield measure

    return Contender(name=name, open=opened, peer=peer)


def work_of(*goals: Goal, contenders: Sequence[Contender] = ()) -> Work:
    """A work of two levels."""
    return Work(
        name="trial",
        title="A trial",
        about="Nothing is measured.",
        level="connections",
        levels=(1, 16),
        contenders=contenders or (contender_of(OURS), contender_of("peer")),
        goals=goals,
    )


def measured(work: Work, rates: Mapping[str, Sequence[float]], *, level: int = 1) -> Results:
    """A run in which each contender had these rates, one per round; its p99 is 1,000 divided by the rate."""
    results = new_results(rounds=3, seconds=1.0, quick=False, without=[])
    results.samples = [
        Sample(
            work=work.name,
            contender=name,
            round=number,
            level=level,
            metrics={"per_second": rate, "p99_ms": 1000 / rate, "errors": 0},
        )
        for name, values in rates.items()
        for number, rate in enumerate(values, 1)
    ]
    return results
