# SPDX-License-Identifier: Apache-2.0
"""Which variants are worth keeping."""

from __future__ import annotations

import pytest

from converters.choice.front import fidelity, front, pruned
from converters.parity.testing import a_report

SMALL = a_report("tflite-int8/cpu", size=250, ms=2.0, cosine=0.98)
FAST = a_report("onnx-int8dyn/cpu", size=400, ms=0.5, cosine=0.97)
EXACT = a_report("onnx-fp32/cpu", size=1000, ms=1.5, cosine=1.0)
BAD = a_report("onnx-int8/cpu", size=100, ms=0.1, cosine=0.1, reasons=("cosine too low",))
ALL = (SMALL, FAST, EXACT, BAD)


def test_fidelity_is_the_least_of_its_measures() -> None:
    """A good cosine does not hide a fallen accuracy."""
    assert fidelity(a_report(cosine=0.99, accuracy=0.8)) == pytest.approx(0.8)
    assert fidelity(a_report(cosine=-0.5)) == 0.0


def test_the_front_drops_the_beaten_and_the_rejected() -> None:
    """Smallest first."""
    beaten = a_report("onnx-fp16/cpu", size=600, ms=1.6, cosine=0.97)

    assert front((*ALL, beaten)) == (SMALL, FAST, EXACT)


def test_what_is_beaten_is_rejected_with_the_winner() -> None:
    """But for the variant that was asked for."""
    beaten = a_report("onnx-fp16/cpu", size=600, ms=1.6, cosine=0.97)
    reports = {each.variant: each for each in (SMALL, FAST, BAD, beaten)}

    found = pruned(reports, asked=SMALL.variant)

    assert (found[SMALL.variant], found[FAST.variant], found[BAD.variant]) == (SMALL, FAST, BAD)
    assert found[beaten.variant].verdict == "rejected"
    assert found[beaten.variant].reasons == ("onnx-int8dyn/cpu is at least as good in size, latency and fidelity.",)
    assert pruned(reports, asked=beaten.variant)[beaten.variant] == beaten
