# SPDX-License-Identifier: Apache-2.0
"""One SVG per work: bars of requests/s by contender and level, with the spread over the rounds.

What was measured without a server is no bar but a dashed line, and only the best of it: it is the limit of all.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from loadtests.bench.results import Results
from loadtests.bench.work import OURS, Work

_METRIC: Final = "per_second"
_OURS_COLOUR: Final = "#b5313b"
_OTHERS: Final = ("#31597a", "#6f8fa8", "#a9bccb", "#8a8574", "#c3bda9", "#5d6b52", "#93a284", "#d0d5c8")


def draw(results: Results, work: Work, folder: Path) -> Path | None:
    """Writes ``bench-<work>.svg``; nothing for a work that is not about rates.

    The file has neither a date nor random ids, so the same results give the same bytes.
    """
    limits = [contender.name for contender in work.contenders if contender.levels is not None]
    names = [name for name in results.contenders(work.name) if name not in limits]
    if work.columns[0] != _METRIC or not names:
        return None
    mpl.rcParams["svg.hashsalt"] = work.name
    mpl.rcParams["svg.fonttype"] = "none"
    figure = Figure(figsize=(8, 3.2), layout="constrained")
    axes = figure.subplots()
    for index, name in enumerate(names):
        _bars(axes, results, work, name, place=index, of=len(names))
    _limit(axes, results, work, limits)
    axes.set_xticks(range(len(work.levels)), [f"{level}" for level in work.levels])
    axes.set_xlabel(work.level)
    axes.set_ylabel("requests/s")
    axes.set_title(work.title, fontsize=10, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"bench-{work.name}.svg"
    figure.savefig(file, format="svg", metadata={"Date": None})
    return file


def _bars(axes: Axes, results: Results, work: Work, name: str, *, place: int, of: int) -> None:
    width = 0.8 / of
    centres = [level + (place - (of - 1) / 2) * width for level in range(len(work.levels))]
    rounds = [list(results.values(work.name, name, level, _METRIC).values()) or [0.0] for level in work.levels]
    middles = [statistics.median(values) for values in rounds]
    below = [middle - min(values) for middle, values in zip(middles, rounds, strict=True)]
    above = [max(values) - middle for middle, values in zip(middles, rounds, strict=True)]
    colour = _OURS_COLOUR if name == OURS else _OTHERS[place % len(_OTHERS)]
    axes.bar(centres, middles, width, yerr=[below, above], label=name, color=colour, error_kw={"linewidth": 0.8})


def _limit(axes: Axes, results: Results, work: Work, limits: Sequence[str]) -> None:
    medians = {
        name: statistics.median(values.values())
        for name in limits
        if (values := results.values(work.name, name, None, _METRIC))
    }
    if medians:
        best = max(medians, key=lambda name: medians[name])
        axes.axhline(medians[best], color="black", linestyle="--", linewidth=1, label=best)
