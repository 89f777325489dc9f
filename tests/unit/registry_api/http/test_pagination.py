# SPDX-License-Identifier: Apache-2.0
"""Cursors and pages."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ErrorCode, InvalidRequest
from registry_api.http.pagination import Key, PageRequest, decode_cursor, encode_cursor, listing

PARTS = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\x00")) | st.integers(
    min_value=-(2**63) + 1, max_value=2**63 - 1
)


@given(st.lists(PARTS, min_size=1, max_size=4).map(tuple))
def test_a_cursor_decodes_to_its_key(key: Key) -> None:
    """Law: decode_cursor(encode_cursor(key)) == key."""
    assert decode_cursor(encode_cursor(key)) == key


@given(st.lists(st.integers(0, 1000), unique=True), st.integers(1, 7))
def test_walking_by_cursor_gives_every_row_once(rows: list[int], limit: int) -> None:
    """Pages in order, joined, are all rows; only the last has no cursor."""
    rows.sort()
    seen: list[int] = []
    request: PageRequest | None = PageRequest(limit=limit)
    while request is not None:
        position = request.position(int)
        left = [row for row in rows if position is None or row > position[0]]
        page = listing(left[: limit + 1], request, lambda row: (row,))
        seen += page.items
        cursor = page.next_cursor
        request = None if cursor is None else PageRequest(limit=limit, after=decode_cursor(cursor))
    assert seen == rows


def test_a_page_of_other_items_points_to_the_same_place() -> None:
    """Making something of each item changes neither their order nor where the next page begins."""
    page = listing([1, 2, 3], PageRequest(limit=2), lambda row: (row,))
    made = page.map(str)
    assert (made.items, made.next_cursor) == (("1", "2"), page.next_cursor)


@pytest.mark.parametrize(
    "cursor", ["x", "e30", "W10", "W3RydWVd", "bnVsbA", "WzEuNV0", "WyJcdTAwMDAiXQ", "Wzk5OTk5OTk5OTk5OTk5OTk5OTk5XQ"]
)
def test_what_is_no_cursor_is_refused(cursor: str) -> None:
    """Not base64, not JSON, an object, an empty list, booleans, null, floats, NUL, integers beyond 64 bits."""
    with pytest.raises(InvalidRequest) as caught:
        decode_cursor(cursor)
    assert caught.value.code is ErrorCode.INVALID_FIELD


def test_a_key_of_another_shape_is_refused() -> None:
    """A cursor of a list by name is none of a list by number."""
    with pytest.raises(InvalidRequest):
        PageRequest(after=("a",)).position(int)
    assert PageRequest(after=(1, "a")).position(int, str) == (1, "a")
    assert PageRequest().position(int) is None
