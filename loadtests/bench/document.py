# SPDX-License-Identifier: Apache-2.0
"""``docs/benchmarks.md``: the part between its two markers is written from a result file, the rest by people."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from deploy.local.stack import ROOT
from loadtests.bench.charts import draw
from loadtests.bench.report import figures, goals
from loadtests.bench.results import Results
from loadtests.bench.work import Work

PAGE: Final = ROOT / "docs" / "benchmarks.md"
BEGIN: Final = "<!-- begin: python -m loadtests.bench report --write -->"
END: Final = "<!-- end -->"


class PageDamaged(Exception):
    """The page does not have each marker once, in order."""


def rewrite(page: Path, results: Results, works: Sequence[Work]) -> None:
    """Replaces the generated part of ``page`` and the charts in ``assets`` beside it.

    Raises:
        PageDamaged: If the page's markers are not as they were.
    """
    text = page.read_text()
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise PageDamaged(f"{page} needs the lines {BEGIN!r} and {END!r}, in this order.")
    generated = "\n\n".join(_blocks(results, works, page.parent / "assets"))
    page.write_text(f"{before}{begin}\n\n{generated}\n\n{end}{after}")


def _blocks(results: Results, works: Sequence[Work], assets: Path) -> list[str]:
    blocks = [_provenance(results), "## Goals", goals(results, works).markdown()]
    for work in works:
        blocks += [f"## {work.title}", f"`make bench WORK={work.name}`. {work.about}"]
        if chart := draw(results, work, assets):
            blocks.append(f"![{work.title}]({assets.name}/{chart.name})")
        blocks.append(figures(results, work).markdown())
    return blocks


def _provenance(results: Results) -> str:
    machine = results.machine
    left_out = f" Left out: {', '.join(results.without)}." if results.without else ""
    trial = " **A quick trial: too short to be quoted.**" if results.quick else ""
    return (
        f"Run of {results.started:%Y-%m-%d %H:%M} UTC on {machine.cores} cores of {machine.cpu}, {machine.system}, "
        f"Python {machine.python}: {results.rounds} rounds of {results.seconds:g} s per sample.{left_out}{trial}"
    )
