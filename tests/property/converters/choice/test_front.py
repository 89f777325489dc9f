# SPDX-License-Identifier: Apache-2.0
"""The laws of the Pareto front, as :mod:`converters.choice.front` states them."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from converters.choice.front import fidelity, front, latency_ms
from converters.parity.report import Report
from converters.parity.testing import a_report

POINTS = st.lists(
    st.tuples(st.integers(1, 5), st.sampled_from([1.0, 2.0, 3.0]), st.sampled_from([0.9, 0.95, 1.0]), st.booleans()),
    max_size=8,
)


def reports(points: list[tuple[int, float, float, bool]]) -> list[Report]:
    """One report per point; the last value says whether it was accepted."""
    return [
        a_report(f"tflite-v{number}/cpu", size=size, ms=ms, cosine=cosine, reasons=() if accepted else ("bad",))
        for number, (size, ms, cosine, accepted) in enumerate(points)
    ]


def beats(one: Report, other: Report) -> bool:
    """At least as good in all, better in one."""
    a = (one.bytes, latency_ms(one), -fidelity(one))
    b = (other.bytes, latency_ms(other), -fidelity(other))
    return a != b and all(x <= y for x, y in zip(a, b, strict=True))


@given(POINTS)
def test_no_member_beats_another(points: list[tuple[int, float, float, bool]]) -> None:
    """No member of the front beats another, and every member was accepted."""
    best = front(reports(points))
    assert not any(beats(a, b) for a in best for b in best)
    assert all(each.accepted for each in best)


@given(POINTS)
def test_whoever_is_left_out_is_beaten(points: list[tuple[int, float, float, bool]]) -> None:
    """Whoever is not in the front is beaten, or equalled, by a member."""
    best = front(reports(points))
    for left in reports(points):
        if left.accepted and left not in best:
            same = (left.bytes, latency_ms(left), fidelity(left))
            assert any(beats(each, left) or (each.bytes, latency_ms(each), fidelity(each)) == same for each in best)


@given(POINTS, st.randoms(use_true_random=False))
def test_the_front_is_its_own_front_in_any_order(points: list[tuple[int, float, float, bool]], random: Random) -> None:
    """The front of the front is the front, and the order of the reports does not matter."""
    given_ = reports(points)
    best = front(given_)
    random.shuffle(given_)
    assert front(given_) == best
    assert front(best) == best
