# SPDX-License-Identifier: Apache-2.0
"""The Pareto front of variants: those that no other beats in size, latency and fidelity at once.

Laws, tested as such: no member of the front beats another; whoever is not in it is beaten by a member; the front of the front
is the front; the order of the reports does not matter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from converters.parity.report import Report


def front(reports: Iterable[Report]) -> tuple[Report, ...]:
    """The accepted variants that are worth keeping, smallest first.

    One variant beats another if it is at least as good in bytes, in latency at its smallest batch and in fidelity, and
    better in one. Of variants alike in all three the first by name is kept.
    """
    kept = {each.variant: each for each in sorted(reports, key=lambda each: each.variant) if each.accepted}
    points = {variant: _point(each) for variant, each in kept.items()}
    best = [
        report
        for number, (variant, report) in enumerate(kept.items())
        if not any(
            _beats(point, points[variant]) or (point == points[variant] and earlier < number)
            for earlier, point in enumerate(points.values())
        )
    ]
    return tuple(sorted(best, key=lambda each: (each.bytes, each.variant)))


def pruned(reports: Mapping[str, Report], *, asked: str) -> dict[str, Report]:
    """The reports with those that are not on the front rejected, each with who beats it; what was asked for stays.

    Args:
        reports: By variant.
        asked: The variant that is kept whatever beats it.
    """
    best = front(reports.values())
    kept = {each.variant for each in best} | {asked}
    return {
        variant: report if variant in kept or not report.accepted else _beaten(report, best)
        for variant, report in reports.items()
    }


def fidelity(report: Report) -> float:
    """How much of the source is left, in [0, 1]: the least of its cosine, agreement and share of the source's metric."""
    shares = [max(0.0, report.cosine)]
    if report.top1_agreement is not None and report.metric is not None:
        shares.append(report.top1_agreement)
    if report.metric is not None and report.metric.source > 0:
        shares.append(min(1.0, report.metric.value / report.metric.source))
    return min(shares)


def latency_ms(report: Report) -> float:
    """Of its smallest batch; infinite if none was measured."""
    return float("inf") if report.smallest_batch is None else report.smallest_batch.ms


def _beaten(report: Report, best: tuple[Report, ...]) -> Report:
    mine = _point(report)
    winner = next(each for each in best if _beats(_point(each), mine) or _point(each) == mine)
    reason = f"{winner.variant} is at least as good in size, latency and fidelity."
    return msgspec.structs.replace(report, verdict="rejected", reasons=(reason,))


def _point(report: Report) -> tuple[float, float, float]:
    """Less is better in each."""
    return float(report.bytes), latency_ms(report), -fidelity(report)


def _beats(one: tuple[float, float, float], other: tuple[float, float, float]) -> bool:
    return one != other and all(a <= b for a, b in zip(one, other, strict=True))
