# SPDX-License-Identifier: Apache-2.0
"""Rounds interleave contenders, and one that fails stops nobody else."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from loadtests.bench import __main__ as command
from loadtests.bench import results as module
from loadtests.bench.place import Place
from loadtests.bench.results import Results, new_results
from loadtests.bench.runner import measure
from loadtests.bench.work import OURS, Contender, Meter
from loadtests.bench.works import WORKS
from loadtests.servers import ServerFailed
from tests.unit.loadtests.bench.samples import contender_of, work_of


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setattr(module, "FOLDER", tmp_path / "results")
    with Place(tmp_path / "scratch") as made:
        yield made


def test_each_round_begins_with_another_contender(place: Place) -> None:
    """Every contender is measured at every level in every round, in a rotating order."""
    results = new_results(rounds=2, seconds=1.0, quick=True, without=[])
    measure(results, [work_of()], place, tell=lambda _: None)
    order = [(sample.round, sample.contender, sample.level) for sample in results.samples]
    first = [(1, name, level) for name in (OURS, "peer") for level in (1, 16)]
    assert order == first + [(2, name, level) for name in ("peer", OURS) for level in (1, 16)]
    assert Results.read(results.path) == results


def test_failed_contender_is_noted_and_left_out(place: Place) -> None:
    """Its reason is kept, it is not tried again, and the others are measured."""

    @contextmanager
    def broken(_: Place) -> Iterator[Meter]:
        raise ServerFailed("no such port")
        yield

    told: list[str] = []
    results = new_results(rounds=3, seconds=1.0, quick=False, without=[])
    contenders = (Contender(name="broken", open=broken), contender_of(OURS))
    measure(results, [work_of(contenders=contenders)], place, tell=told.append)
    assert [(failure.contender, failure.round, failure.reason) for failure in results.failures] == [
        ("broken", 1, "no such port")
    ]
    assert {sample.contender for sample in results.samples} == {OURS}
    assert any("broken FAILED" in line for line in told)


def test_peers_can_be_left_out(place: Place) -> None:
    """A peer named in ``--without`` is not started."""
    results = new_results(rounds=1, seconds=1.0, quick=True, without=["ray"])
    contenders = (contender_of(OURS), contender_of("Ray Serve", peer="ray"))
    measure(results, [work_of(contenders=contenders)], place, tell=lambda _: None)
    assert {sample.contender for sample in results.samples} == {OURS}


def test_peer_that_is_not_set_up_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything is measured, the run says which peer is missing and what to do."""
    monkeypatch.setattr("loadtests.bench.place.PEERS", tmp_path)
    works = [work for work in WORKS if work.name == "mlp-json"]
    reason = command._not_ready(works, ["mlserver", "litserve", "triton"])
    assert reason is not None
    assert "ray is not installed" in reason
    assert "--without ray" in reason
    assert command._not_ready(works, ["mlserver", "litserve", "triton", "ray"]) is None


def test_works_are_chosen_by_pattern() -> None:
    """A pattern may mean several works; one that means none is refused."""
    assert [work.name for work in command._chosen(["split*"])] == ["split-mlp", "split-mobilenet"]
    assert command._chosen([]) == list(WORKS)
    with pytest.raises(SystemExit, match="No work is called 'nothing'"):
        command._chosen(["nothing"])


def test_every_goal_can_be_measured() -> None:
    """Each goal names contenders and a level that its work has."""
    for work in WORKS:
        names = {contender.name for contender in work.contenders}
        for goal in work.goals:
            assert goal.of in names
            assert goal.at is None or goal.at in work.levels
            assert (goal.least is None) != (goal.most is None)
            assert all(any(fnmatchcase(name, pattern) for name in names) for pattern in goal.against)
