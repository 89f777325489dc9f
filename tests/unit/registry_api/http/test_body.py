# SPDX-License-Identifier: Apache-2.0
"""Depth of JSON bodies."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry_api.http.body import json_depth

VALUES = st.recursive(
    st.text() | st.integers() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


def depth(value: Any) -> int:
    if isinstance(value, list):
        return 1 + max(map(depth, value), default=0)
    if isinstance(value, dict):
        return 1 + max(map(depth, value.values()), default=0)
    return 0


@given(VALUES)
def test_the_depth_of_valid_json_is_that_of_its_value(value: Any) -> None:
    """Law: json_depth(dumps(value)) == depth(value), whatever brackets and quotes stand in strings."""
    assert json_depth(json.dumps(value).encode()) == depth(value)


@pytest.mark.parametrize(
    ("body", "expected"),
    [(b"", 0), (b"[" * 100_000, 100_000), (b"]]]][", 0), (b'"[[[', 0), (b'{"a":"\\"[["}', 1), (b'["\\\\",[]]', 2)],
)
def test_broken_json_is_measured_without_recursion(body: bytes, expected: int) -> None:
    """Unclosed brackets count, brackets inside unclosed strings do not."""
    assert json_depth(body) == expected
