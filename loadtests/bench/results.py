# SPDX-License-Identifier: Apache-2.0
"""The raw samples of a run as a file, and the figures read from them.

A figure is the median over the rounds; its spread is their smallest and largest. A comparison is made round by round,
between servers that were measured minutes apart at most, and then the median is taken: a drift of the machine cancels out.
"""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

import msgspec

from deploy.local.stack import ROOT
from loadtests.bench.work import Goal, Sample, Work

FOLDER: Final = ROOT / "loadtests" / "results"
_HIGHER_IS_BETTER: Final = frozenset({"per_second"})


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """A contender that could not be measured in one round."""

    work: str
    contender: str
    round: int
    reason: str


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where a run happened."""

    cpu: str
    cores: int  # this process may use
    system: str
    python: str

    @classmethod
    def here(cls) -> Machine:
        """This machine."""
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        cpu = next((line.partition(": ")[2] for line in lines if line.startswith("model name")), platform.machine())
        cores = len(os.sched_getaffinity(0))
        kernel = ".".join(platform.release().split(".")[:2])
        return cls(cpu=cpu, cores=cores, system=f"{platform.system()} {kernel}", python=platform.python_version())


class Results(msgspec.Struct, kw_only=True):
    """One run; grows while it is made."""

    started: datetime
    machine: Machine
    rounds: int
    seconds: float  # per sample
    quick: bool  # too short to be more than a trial
    without: list[str]  # peers left out
    samples: list[Sample] = msgspec.field(default_factory=list)
    failures: list[Failure] = msgspec.field(default_factory=list)

    @property
    def path(self) -> Path:
        """Where :meth:`write` puts it."""
        return FOLDER / f"bench-{self.started:%Y%m%dT%H%M%SZ}.json"

    def write(self) -> None:
        """Replaces the file in one step."""
        FOLDER.mkdir(exist_ok=True)
        partial = self.path.with_suffix(".partial")
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1))
        partial.replace(self.path)

    @classmethod
    def read(cls, path: Path) -> Results:
        """Reads what :meth:`write` wrote."""
        return msgspec.json.decode(path.read_bytes(), type=cls)

    def contenders(self, work: str) -> list[str]:
        """Who was measured, in the order of the first round."""
        return list(dict.fromkeys(sample.contender for sample in self.samples if sample.work == work))

    def levels(self, work: str, contender: str) -> list[int]:
        """At which levels a contender was measured, ascending."""
        found = {sample.level for sample in self.samples if (sample.work, sample.contender) == (work, contender)}
        return sorted(found)

    def values(self, work: str, contender: str, level: int | None, metric: str) -> dict[int, float]:
        """One metric by round; of a contender measured at one level only, whatever level is asked for."""
        levels = self.levels(work, contender)
        if len(levels) == 1:
            level = levels[0]
        return {
            sample.round: sample.metrics[metric]
            for sample in self.samples
            if (sample.work, sample.contender, sample.level) == (work, contender, level) and metric in sample.metrics
        }


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """How our figure compares."""

    value: float  # median over the rounds
    low: float
    high: float
    against: str | None  # the best of those it was compared with; None: nobody

    def meets(self, goal: Goal) -> bool:
        """Whether the goal is met."""
        if goal.least is not None:
            return self.value >= goal.least
        return goal.most is not None and self.value <= goal.most


def new_results(*, rounds: int, seconds: float, quick: bool, without: Sequence[str]) -> Results:
    """An empty run that starts now."""
    return Results(
        started=datetime.now(UTC),
        machine=Machine.here(),
        rounds=rounds,
        seconds=seconds,
        quick=quick,
        without=sorted(without),
    )


def outcome(results: Results, work: Work, goal: Goal) -> Outcome | None:
    """What became of a goal; None if one of the two sides was not measured."""
    mine = results.values(work.name, goal.of, goal.at, goal.metric)
    if not goal.against:
        return _summary(list(mine.values()), None)
    best = _best(results, work, goal)
    if best is None:
        return None
    theirs = results.values(work.name, best, goal.at, goal.metric)
    return _summary([_compare(goal, mine[n], theirs[n]) for n in mine.keys() & theirs.keys()], best)


def _best(results: Results, work: Work, goal: Goal) -> str | None:
    medians = {
        name: statistics.median(values.values())
        for name in results.contenders(work.name)
        if name != goal.of
        and any(fnmatchcase(name, pattern) for pattern in goal.against)
        and (values := results.values(work.name, name, goal.at, goal.metric))
    }
    if not medians:
        return None
    best = max if goal.metric in _HIGHER_IS_BETTER else min
    return best(medians, key=lambda name: medians[name])


def _compare(goal: Goal, mine: float, theirs: float) -> float:
    if goal.compare == "difference":
        return mine - theirs
    return mine / theirs if theirs else float("inf")


def _summary(values: Sequence[float], against: str | None) -> Outcome | None:
    if not values:
        return None
    return Outcome(value=statistics.median(values), low=min(values), high=max(values), against=against)
