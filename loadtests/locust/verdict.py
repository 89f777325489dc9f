# SPDX-License-Identifier: Apache-2.0
"""Pass or fail: three figures against three thresholds."""

from __future__ import annotations

from dataclasses import dataclass

from loadtests.locust.plan import Plan


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One figure and whether it is good enough."""

    text: str
    passed: bool

    def __str__(self) -> str:
        return f"{'PASS' if self.passed else 'FAIL'}  {self.text}"


def judge(plan: Plan, *, requests: int, failures: int, p95_ms: float) -> list[Check]:
    """Holds a run against the thresholds of its plan.

    Args:
        plan: What was to be sent, and the thresholds.
        requests: Answered or failed.
        failures: Of these, not 200 or with a wrong answer.
        p95_ms: The 95th percentile of all response times, in milliseconds.
    """
    limits = plan.thresholds
    success = 100 * (requests - failures) / requests if requests else 0.0
    sent = 100 * requests / plan.profile.requests
    return [
        Check(text=f"p95 {p95_ms:.0f} ms, limit {limits.p95_ms:g} ms", passed=p95_ms < limits.p95_ms),
        Check(
            text=f"success {success:.3f} % of {requests}, limit {limits.success_percent:g} %",
            passed=success > limits.success_percent,
        ),
        Check(
            text=f"sent {sent:.1f} % of the plan, limit {limits.sent_percent:g} %", passed=sent >= limits.sent_percent
        ),
    ]
