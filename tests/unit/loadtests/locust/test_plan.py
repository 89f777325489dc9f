# SPDX-License-Identifier: Apache-2.0
"""The shape of the load and the verdict on a run."""

from __future__ import annotations

import stat
from pathlib import Path

import numpy as np
import pytest

from loadtests.locust.plan import Case, Plan, Profile, Target, Tensor, Thresholds
from loadtests.locust.verdict import judge
from loadtests.locust.wire import encode_binary, encode_grpc, encode_json, encode_v1, wrong


@pytest.fixture
def plan() -> Plan:
    x = Tensor.of(np.array([[1.5, 2.5]], dtype=np.float32), "FP32")
    label = Tensor.of(np.array([7], dtype=np.int64), "INT64")
    target = Target(
        tenant="acme", model="digits", key="secret", cases=[Case(inputs={"X": x}, expected={"label": label})]
    )
    return Plan(
        host="http://127.0.0.1:1",
        grpc=None,
        targets=[target],
        profile=Profile(rate=10, ramp_s=0, hold_s=10.5),
        thresholds=Thresholds(),
    )


def test_the_shape_is_the_original_plans() -> None:
    """One user a second at first, a hundred after two minutes, for five more, then the end."""
    profile = Profile()
    assert [profile.users(at) for at in (0, 60, 120, 419.9, 420)] == [1, 51, 100, 100, None]
    assert profile.requests == pytest.approx(50.5 * 120 + 100 * 300, rel=0.01)


def test_a_plan_is_read_as_it_was_written_and_only_its_owner_may_read_it(plan: Plan, tmp_path: Path) -> None:
    """The file holds API keys."""
    file = tmp_path / "plan.json"
    plan.write(file)
    assert Plan.read(file) == plan
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("requests", "failures", "p95_ms", "passed"),
    [
        (100, 0, 149.0, [True, True, True]),
        (100, 0, 150.0, [False, True, True]),
        (1000, 5, 1.0, [True, False, True]),
        (1000, 4, 1.0, [True, True, True]),
        (94, 0, 1.0, [True, True, False]),
        (0, 0, 0.0, [True, False, False]),
    ],
)
def test_each_threshold_decides(plan: Plan, requests: int, failures: int, p95_ms: float, passed: list[bool]) -> None:
    """p95 must be below its limit, success above, and the planned requests must have been sent."""
    checks = judge(plan, requests=requests, failures=failures, p95_ms=p95_ms)
    assert [check.passed for check in checks] == passed


def test_every_protocol_carries_the_case_and_no_body_the_key(plan: Plan) -> None:
    """The same case is encoded four times; the key travels as header only."""
    (target,) = plan.targets
    for encode in (encode_json, encode_binary, encode_v1, encode_grpc):
        encoded = encode(target, target.cases[0])
        assert encoded.case is target.cases[0]
        assert b"label" in encoded.body
        assert b"secret" not in encoded.body


def test_a_wrong_answer_is_told(plan: Plan) -> None:
    """Another value, another shape and an absent output are failures; the right one is not."""
    case = plan.targets[0].cases[0]
    assert wrong(case, {"label": [7]}) is None
    assert wrong(case, {"label": [8]}) == "output label has other values"
    assert wrong(case, {"label": [[7]]}) == "output label has shape (1, 1), expected (1,)"
    assert wrong(case, {}) == "output label is missing"
