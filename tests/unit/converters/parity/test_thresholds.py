# SPDX-License-Identifier: Apache-2.0
"""Bounds by precision."""

from __future__ import annotations

import pytest

from converters.parity.thresholds import DEFAULTS, thresholds_for
from core.errors import ErrorCode, InvalidRequest


def test_lower_precision_has_wider_bounds() -> None:
    """What fp32 must keep, int8 need not."""
    exact, coarse = DEFAULTS["fp32"], DEFAULTS["int8"]

    assert exact.cosine is not None
    assert coarse.cosine is not None
    assert exact.cosine > coarse.cosine
    assert coarse.max_relative is None


def test_a_caller_sets_or_drops_single_bounds() -> None:
    """The others stay as they are."""
    found = thresholds_for("int8", {"cosine": 0.999, "top1_agreement": None})

    assert (found.cosine, found.top1_agreement, found.metric_drop) == (0.999, None, 0.03)


@pytest.mark.parametrize(
    ("precision", "overrides"),
    [("int3", {}), ("int8", {"nonsense": 1.0}), ("int8", {"cosine": 2.0}), ("int8", {"metric_drop": -0.1})],
)
def test_unknown_or_impossible_bounds_are_refused(precision: str, overrides: dict[str, float | None]) -> None:
    """With VALID_002 and the names there are."""
    with pytest.raises(InvalidRequest) as caught:
        thresholds_for(precision, overrides)

    assert caught.value.code == ErrorCode.INVALID_FIELD
