# SPDX-License-Identifier: Apache-2.0
"""What a comparison is made of: a work has contenders, levels of load and goals; measuring it gives samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from loadtests.bench.place import Place

OURS: Final = "furoshiki"

Metrics: TypeAlias = Mapping[str, float]
Meter: TypeAlias = Callable[[int, float], Metrics]  # level, seconds
Comparison: TypeAlias = Literal["ratio", "difference", "value"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """One side of a comparison."""

    name: str
    open: Callable[[Place], AbstractContextManager[Meter]]  # starts it, checks its answers, ends it afterwards
    peer: str | None = None  # whose environment it needs; None: this one
    levels: Sequence[int] | None = None  # None: those of the work


@dataclass(frozen=True, slots=True, kw_only=True)
class Goal:
    """What our figure has to be at one level; exactly one of ``least`` and ``most`` is set."""

    metric: str
    at: int | None = None  # level; None: the only one
    of: str = OURS
    against: Sequence[str] = ()  # patterns of contenders, of which the best counts; none: our figure itself
    compare: Comparison = "ratio"
    least: float | None = None
    most: float | None = None
    aim: float | None = None  # what would be better still
    unit: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """One comparison."""

    name: str
    title: str  # model, request, protocol
    about: str  # how it is measured, in one or two sentences
    level: str  # what a level is, in the plural
    levels: Sequence[int]
    contenders: Sequence[Contender]
    goals: Sequence[Goal]
    columns: Sequence[str] = ("per_second", "p50_ms", "p99_ms", "errors")  # metrics shown
    warm_s: float = 1.0  # load before the first sample
    warm_level: int = 8
    least_s: float = 0.0  # of a sample, however short a run is asked for


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one contender did in one round at one level."""

    work: str
    contender: str
    round: int
    level: int
    metrics: Metrics
