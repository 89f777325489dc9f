# SPDX-License-Identifier: Apache-2.0
"""Rows cut into the batch sizes a model has."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.tensors import Signature
from runners.backends.litert.entries import Entries, Entry


@given(sizes=st.sets(st.integers(1, 64), min_size=1, max_size=5), rows=st.integers(1, 500))
def test_the_law(sizes: set[int], rows: int) -> None:
    """``sum(min(size, left)) == rows``; only the last run is filled up, and by no size larger than needed."""
    entry = Entry(key=None, inputs=(), outputs=())
    entries = Entries(
        by_rows=dict.fromkeys(sorted(sizes), entry), only=entry, signature=Signature(inputs=(), outputs=())
    )
    left = rows
    for size in (plan := entries.plan(rows)):
        assert left > 0
        used = min(size, left)
        assert used == size or size == min(each for each in sizes if each >= left)
        left -= used
    assert left == 0
    assert set(plan) <= sizes
