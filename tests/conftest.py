# SPDX-License-Identifier: Apache-2.0
"""The fault table: what was broken for real, how often, and what came of it.

A test that kills, cuts or fills something carries ``@pytest.mark.fault("what is broken")``. Counts it wants in the table it
records with ``record_property("moments", 20)``: a number and what it counts. At the end of a run that had such tests the
table is printed; a fault is withstood if every test of it passed.

Two settings hold for every test: no example of Hypothesis has a deadline, because a busy machine would break it, and a logged
exception is printed without the local variables of its frames, which cost seconds to format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

import hypothesis
import pytest
import structlog

hypothesis.settings.register_profile(
    "furoshiki", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("furoshiki")
structlog.configure(
    processors=[
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="%Y-%m-%d %H:%M:%S", utc=False),
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)

_FAULT = "fault"
_OUTCOMES = ("passed", "failed", "error", "skipped")


@dataclass
class Row:
    """One line of the table."""

    tests: int = 0
    passed: int = 0
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def outcome(self) -> str:
        """In words."""
        return "withstood" if self.passed == self.tests else f"{self.tests - self.passed} NOT WITHSTOOD"


def pytest_configure(config: pytest.Config) -> None:
    """Declares the marker."""
    config.addinivalue_line("markers", "fault(what): breaks something for real; listed in the fault table")


def pytest_collection_modifyitems(items: Iterable[pytest.Item]) -> None:
    """Hands the marker's argument on to the report."""
    for item in items:
        for marker in item.iter_markers(_FAULT):
            item.user_properties.append((_FAULT, marker.args[0]))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Prints the table."""
    rows: dict[str, Row] = {}
    for outcome in _OUTCOMES:
        for report in terminalreporter.getreports(outcome):
            if not isinstance(report, pytest.TestReport):
                continue
            for what in (str(value) for name, value in report.user_properties if name == _FAULT):
                _count(rows.setdefault(what, Row()), report, passed=outcome == "passed")
    if not rows:
        return
    terminalreporter.section("faults")
    width = max(map(len, rows))
    for what, row in sorted(rows.items()):
        counts = ", ".join(f"{count} {name}" for name, count in row.counts.items())
        terminalreporter.line(f"{what:<{width}}  {row.tests:>3} tests  {row.outcome:<12}  {counts}".rstrip())


def _count(row: Row, report: pytest.TestReport, *, passed: bool) -> None:
    row.tests += 1
    row.passed += passed
    row.counts.update({name: int(str(value)) for name, value in report.user_properties if name != _FAULT})
