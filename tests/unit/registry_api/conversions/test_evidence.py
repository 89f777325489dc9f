# SPDX-License-Identifier: Apache-2.0
"""What a conversion says to the gate ``parity``."""

from __future__ import annotations

from dataclasses import replace

import pytest

from registry_api.conversions.evidence import parity_of
from registry_api.conversions.testing import report_of
from registry_api.conversions.values import Made, Plan, Result, parse_target

DIGEST = "sha256:" + "0" * 64
PLAN = Plan(target=parse_target("onnx-int8"), auto=True)


def made(variant: str, *, accepted: bool) -> Made:
    """One result."""
    target = parse_target(variant)
    result = Result(
        conversion="c1",
        variant=variant,
        digest=DIGEST,
        size=1,
        accepted=accepted,
        reasons=() if accepted else ("too far",),
        route=(),
        report=report_of(variant, "onnx-fp32/cpu", accepted=accepted),
        report_digest=DIGEST,
        report_signature_digest=DIGEST,
        picture_digest=DIGEST,
        key_id="k",
    )
    return Made(
        result=result,
        format=target.format,
        precision=target.precision,
        device=target.device,
        signature_digest=None,
        files=(),
    )


@pytest.mark.parametrize("accepted", [True, False])
def test_the_verdict_on_what_was_asked_for_counts(accepted: bool) -> None:
    """Other forms that were tried beside it decide nothing."""
    said = parity_of(PLAN, [made("onnx-fp16/cpu", accepted=False), made("onnx-int8/cpu", accepted=accepted)])
    reasons = [] if accepted else ["too far"]
    assert said == {
        "passed": accepted,
        "conversion": "c1",
        "variant": "onnx-int8/cpu",
        "reasons": reasons,
        "report": DIGEST,
    }


def test_own_bounds_can_fail_and_never_pass() -> None:
    """With bounds of the caller's own only a rejection is said."""
    own = replace(PLAN, thresholds={"cosine": None})
    assert parity_of(own, [made("onnx-int8/cpu", accepted=True)]) is None
    said = parity_of(own, [made("onnx-int8/cpu", accepted=False)])
    assert said is not None
    assert said["passed"] is False
