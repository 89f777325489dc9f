# SPDX-License-Identifier: Apache-2.0
"""Figures and goals are computed from samples as the documentation says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from loadtests.bench import results as module
from loadtests.bench.results import Results, new_results, outcome
from loadtests.bench.work import OURS, Goal, Sample
from tests.unit.loadtests.bench.samples import measured, work_of


def test_ratio_is_taken_within_each_round() -> None:
    """A drift that meets both sides of each round cancels out."""
    work = work_of(Goal(metric="per_second", at=1, against=("peer",), least=2.0))
    results = measured(work, {OURS: (200, 400, 20), "peer": (100, 200, 10)})
    found = outcome(results, work, work.goals[0])
    assert found is not None
    assert (found.value, found.low, found.high) == (2.0, 2.0, 2.0)
    assert found.meets(work.goals[0])


def test_best_of_several_counts() -> None:
    """Of those a pattern names, the one with the best median is compared with; lower is better for latencies."""
    work = work_of(
        Goal(metric="per_second", at=1, against=("*",), least=1.0),
        Goal(metric="p99_ms", at=1, against=("fast", "slow"), most=1.0),
    )
    results = measured(work, {OURS: (100,), "fast": (90,), "slow": (10,)})
    rate, latency = (outcome(results, work, goal) for goal in work.goals)
    assert rate is not None
    assert latency is not None
    assert (rate.against, latency.against) == ("fast", "fast")


def test_difference_and_value() -> None:
    """A difference subtracts the other side; a value needs no other side."""
    difference = Goal(metric="per_second", at=1, against=("peer",), compare="difference", most=5)
    value = Goal(metric="per_second", compare="value", most=11)
    work = work_of(difference, value)
    results = measured(work, {OURS: (12, 14, 10), "peer": (2, 2, 2)})
    found, alone = outcome(results, work, difference), outcome(results, work, value)
    assert found is not None
    assert alone is not None
    assert (found.value, found.meets(difference)) == (10, False)
    assert (alone.value, alone.against, alone.meets(value)) == (12, None, False)


@pytest.mark.parametrize("rates", [{OURS: (1,)}, {"peer": (1,)}, {}])
def test_one_side_missing(rates: Mapping[str, tuple[float, ...]]) -> None:
    """Without both sides there is no outcome."""
    work = work_of(Goal(metric="per_second", at=1, against=("peer",), least=1.0))
    assert outcome(measured(work, rates), work, work.goals[0]) is None


def test_contender_with_one_level_stands_at_every_level() -> None:
    """What was measured without a server has one figure, which is compared with ours at each level."""
    goal = Goal(metric="per_second", at=16, against=("runtime",), least=0.5)
    work = work_of(goal)
    results = measured(work, {OURS: (50,)}, level=16)
    results.samples.append(Sample(work=work.name, contender="runtime", round=1, level=1, metrics={"per_second": 100.0}))
    found = outcome(results, work, goal)
    assert found is not None
    assert found.value == 0.5


def test_file_gives_back_what_was_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run read from its file is the run."""
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    results = new_results(rounds=2, seconds=1.0, quick=True, without=["ray", "mlserver"])
    results.samples.append(Sample(work="w", contender=OURS, round=1, level=1, metrics={"per_second": 1.5}))
    results.write()
    again = Results.read(results.path)
    assert again == results
    assert again.without == ["mlserver", "ray"]
    assert [path.name for path in tmp_path.iterdir()] == [results.path.name]
