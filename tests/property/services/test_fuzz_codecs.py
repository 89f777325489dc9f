# SPDX-License-Identifier: Apache-2.0
"""Whatever comes in, every edge answers it or refuses it with a code; ``make fuzz`` tries a million cases, here are some.

A case is made from its number (see ``tests.fuzz.services``), so that a failure names what reproduces it.
"""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.errors import ErrorCode
from tests.fuzz.services.targets import TARGETS, case, outcome

EACH = pytest.mark.parametrize("name", TARGETS)


@EACH
@settings(max_examples=800, derandomize=True, deadline=None, database=None)
@given(number=st.integers(min_value=0, max_value=2**63))
@example(number=0)
def test_nothing_but_refusals(name: str, number: int) -> None:
    """A valid request that was changed a little is answered or refused; nothing else is ever raised."""
    assert outcome(TARGETS[name], case(TARGETS[name], number))


@EACH
@settings(max_examples=300, derandomize=True, deadline=None, database=None)
@given(data=st.binary(max_size=200))
def test_noise(name: str, data: bytes) -> None:
    """The same holds for bytes that never were a request."""
    assert outcome(TARGETS[name], data)


@EACH
def test_cases_reach_the_inside(name: str) -> None:
    """Many cases are accepted, and the others are refused for many reasons: they do not all fail at the door."""
    found = Counter(outcome(TARGETS[name], case(TARGETS[name], number)) for number in range(500))
    assert found["ok"] > 50
    assert found[ErrorCode.MALFORMED] < 400
    assert len(found) >= 6
