# SPDX-License-Identifier: Apache-2.0
"""Tables, charts and the page say what the samples say."""

from __future__ import annotations

from pathlib import Path

import pytest

from loadtests.bench.charts import draw
from loadtests.bench.document import BEGIN, END, PAGE, PageDamaged, rewrite
from loadtests.bench.report import figures, goals
from loadtests.bench.results import Failure
from loadtests.bench.work import OURS, Goal
from tests.unit.loadtests.bench.samples import measured, work_of

_GOALS = (
    Goal(metric="per_second", at=1, against=("peer",), least=1.5, aim=3.0),
    Goal(metric="per_second", at=1, against=("p*", "q"), least=2.5),
    Goal(metric="p99_ms", at=1, compare="value", most=20, unit=" ms"),
    Goal(metric="per_second", at=16, against=("nobody",), least=1.0),
)


def test_goals_say_what_was_wanted_and_reached() -> None:
    """A row names the bound, the rival, the median, its spread and the verdict."""
    work = work_of(*_GOALS)
    rows = goals(measured(work, {OURS: (200, 210, 100), "peer": (100, 100, 100)}), [work]).rows
    assert rows[0][2:] == ["at least 1.5x peer (aim 3x)", "2.00x (1.00 to 2.10)", "met"]
    assert rows[1][2:] == ["at least 2.5x the best of p, q", "2.00x peer (1.00 to 2.10)", "missed"]
    assert rows[2][2:] == ["at most 20 ms", "5.00 ms (4.76 to 10.00)", "met"]
    assert rows[3][3:] == ["not measured", ""]


def test_figures_are_medians_with_the_spread_of_rates() -> None:
    """Rates show smallest and largest, errors their sum, and a contender that failed why."""
    work = work_of()
    results = measured(work, {OURS: (1000, 3000, 2000)})
    results.failures.append(Failure(work=work.name, contender="peer", round=1, reason="no port\nat all"))
    grid = figures(results, work)
    assert grid.rows[0] == [OURS, "1", "2,000 (1,000 to 3,000)", "", "0.50", "0"]
    assert grid.rows[1][:3] == ["peer", "", "failed: no port"]
    assert "| furoshiki | 1 | 2,000 (1,000 to 3,000) |" in grid.markdown()


def test_page_keeps_what_people_wrote(tmp_path: Path) -> None:
    """Only what stands between the markers changes, and the same results give the same bytes."""
    page = tmp_path / "page.md"
    page.write_text(f"before\n{BEGIN}\nold\n{END}\nafter\n")
    work = work_of(*_GOALS)
    results = measured(work, {OURS: (200, 210, 100), "peer": (100, 100, 100)})
    rewrite(page, results, [work])
    text, chart = page.read_text(), (tmp_path / "assets" / "bench-trial.svg").read_bytes()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "old" not in text
    assert "## A trial" in text
    rewrite(page, results, [work])
    assert (page.read_text(), (tmp_path / "assets" / "bench-trial.svg").read_bytes()) == (text, chart)


def test_page_without_markers_is_left_alone(tmp_path: Path) -> None:
    """A page that lost a marker is refused, not overwritten."""
    page = tmp_path / "page.md"
    page.write_text(f"before {BEGIN}")
    with pytest.raises(PageDamaged, match="needs the lines"):
        rewrite(page, measured(work_of(), {OURS: (1,)}), [work_of()])
    assert page.read_text() == f"before {BEGIN}"


def test_documentation_has_its_markers() -> None:
    """The page in docs can be written."""
    text = PAGE.read_text()
    assert text.index(BEGIN) < text.index(END)


def test_no_chart_without_samples(tmp_path: Path) -> None:
    """A work nobody was measured in gets no file."""
    assert draw(measured(work_of(), {}), work_of(), tmp_path) is None
    assert list(tmp_path.iterdir()) == []
