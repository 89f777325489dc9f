# SPDX-License-Identifier: Apache-2.0
"""Gathered counts end up exactly where direct ones would."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from core.telemetry import hot


def test_bins_equal_observe() -> None:
    """Observations through Bins give the same samples as through the histogram itself, bounds included."""
    values = [0.0, 0.1, 0.5, 0.50001, 1.0, 7.0, 10.0, 11.0]
    registries = [CollectorRegistry(), CollectorRegistry()]
    direct, gathered = (
        Histogram("t", "Test.", ("model",), buckets=(0.1, 0.5, 1, 10), registry=registry).labels("m")
        for registry in registries
    )
    bins = hot.Bins(gathered)
    for value in values:
        direct.observe(value)
        bins.observe(value)
    hot.flush()

    def samples(registry: CollectorRegistry) -> list[str]:
        return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]

    assert samples(registries[1]) == samples(registries[0])


def test_tally_is_moved_once() -> None:
    """A flush moves what was counted since the last one, and only that."""
    registry = CollectorRegistry()
    tally = hot.Tally(Counter("c", "Test.", ("code",), registry=registry).labels("ok"))
    tally.add()
    tally.add(2)
    hot.flush()
    hot.flush()
    tally.add()
    hot.flush()
    assert registry.get_sample_value("c_total", {"code": "ok"}) == 4


def test_a_level_is_read_at_each_flush() -> None:
    """The gauge shows the value of that moment, and 0 after the level was closed, however often."""
    registry = CollectorRegistry()
    rows = [3]
    level = hot.Level(Gauge("g", "Test.", ("model",), registry=registry).labels("m"), lambda: rows[0])
    seen = []
    for value in (3, 5):
        rows[0] = value
        hot.flush()
        seen.append(registry.get_sample_value("g", {"model": "m"}))
    level.close()
    level.close()
    hot.flush()
    assert [*seen, registry.get_sample_value("g", {"model": "m"})] == [3, 5, 0]
