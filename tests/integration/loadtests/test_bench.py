# SPDX-License-Identifier: Apache-2.0
"""The benchmark itself works: every server answers every request, and the report compares them."""

from __future__ import annotations

import io

from rich.console import Console

from loadtests.bench import BATCHABLE, OURS, PLAIN, report, run
from loadtests.models import digits


def test_one_short_round() -> None:
    """One second against each server gives one sample each, nothing but 200, and a table with ratios."""
    samples = run(digits(), [4], rounds=1, seconds=1)
    assert [sample.server for sample in samples] == [OURS, BATCHABLE, PLAIN]
    for sample in samples:
        assert sample.requests > 0
        assert (sample.not_200, sample.socket_errors) == (0, 0)
        assert 0 < sample.p50_ms <= sample.p99_ms
    out = io.StringIO()
    Console(file=out, width=160).print(report(samples, [4], model="test"))
    assert out.getvalue().count("x ") >= 2
