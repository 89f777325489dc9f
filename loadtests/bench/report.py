# SPDX-License-Identifier: Apache-2.0
"""The tables of a run: figures with their spread, and goals with what became of them. Rendered by ``rich`` or as Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.table import Table

from loadtests.bench.results import Failure, Outcome, Results, outcome
from loadtests.bench.work import Goal, Work

_WORDS: Final = {
    "per_second": "requests/s",
    "p50_ms": "p50 ms",
    "p99_ms": "p99 ms",
    "runtime_mb": "runtime MB",
    "model_mb": "file MB",
    "loaded_mb": "loaded MB",
    "model_factor": "held per byte of file",
    "gain_mb": "gained MB",
    "slope_bytes": "bytes/request",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """A table as text."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def rich(self) -> Table:
        """For a terminal."""
        table = Table(*self.headings, title=self.title, title_justify="left")
        for row in self.rows:
            table.add_row(*row)
        return table

    def markdown(self) -> str:
        """For a document."""
        lines = [self.headings, ["---"] * len(self.headings), *self.rows]
        return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def figures(results: Results, work: Work) -> Grid:
    """What each contender did: medians, and for rates the spread over the rounds."""
    headings = ["", work.level, *(_WORDS.get(column, column) for column in work.columns)]
    rows = [
        [
            contender,
            f"{level:,}" if level in work.levels else "",
            *(_cell(results, work, contender, level, column) for column in work.columns),
        ]
        for contender in results.contenders(work.name)
        for level in results.levels(work.name, contender)
    ]
    rows += [
        [failure.contender, "", f"failed: {failure.reason.splitlines()[0][:100]}"]
        for failure in _failures(results, work)
    ]
    width = len(headings)
    return Grid(title=work.title, headings=headings, rows=[row + [""] * (width - len(row)) for row in rows])


def goals(results: Results, works: Sequence[Work]) -> Grid:
    """Every goal of ``works``: what was wanted, what was reached, met or missed."""
    rows = []
    for work in works:
        for goal in work.goals:
            found = outcome(results, work, goal)
            rows.append([work.name, _question(work, goal), _wanted(goal), _reached(goal, found), _verdict(goal, found)])
    return Grid(title="Goals", headings=["work", "figure", "goal", "reached (low to high)", ""], rows=rows)


def _cell(results: Results, work: Work, contender: str, level: int, metric: str) -> str:
    values = list(results.values(work.name, contender, level, metric).values())
    if not values:
        return ""
    if metric == "errors":
        return f"{sum(values):,.0f}"
    shown = _number(statistics.median(values))
    if metric == "per_second" and len(values) > 1:
        shown += f" ({_number(min(values))} to {_number(max(values))})"
    return shown


def _failures(results: Results, work: Work) -> list[Failure]:
    return [failure for failure in results.failures if failure.work == work.name]


def _question(work: Work, goal: Goal) -> str:
    words = _WORDS.get(goal.metric, goal.metric)
    return words if goal.at is None else f"{words}, {goal.at} {work.level}"


def _wanted(goal: Goal) -> str:
    bound = f"at least {goal.least:g}" if goal.least is not None else f"at most {goal.most:g}"
    aim = "" if goal.aim is None else f" (aim {goal.aim:g}{_unit(goal)})"
    rivals = ", ".join("all" if pattern == "*" else pattern.removesuffix("*") for pattern in goal.against)
    one = len(goal.against) == 1 and "*" not in goal.against[0]
    words = {"ratio": " ", "difference": " above ", "value": ""}[goal.compare]
    return f"{bound}{_unit(goal)}{words}{rivals if one or not rivals else f'the best of {rivals}'}{aim}"


def _reached(goal: Goal, found: Outcome | None) -> str:
    if found is None:
        return "not measured"
    best = "" if found.against is None or found.against in goal.against else f" {found.against}"
    return f"{found.value:.2f}{_unit(goal)}{best} ({found.low:.2f} to {found.high:.2f})"


def _verdict(goal: Goal, found: Outcome | None) -> str:
    if found is None:
        return ""
    if not found.meets(goal):
        return "missed"
    return "met, aim reached" if goal.aim is not None and found.value >= goal.aim else "met"


def _unit(goal: Goal) -> str:
    return "x" if goal.compare == "ratio" else goal.unit


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.2f}"
