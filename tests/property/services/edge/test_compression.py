# SPDX-License-Identifier: Apache-2.0
"""``inflate(compress(x)) == x`` in steps of any size, and damage never becomes data."""

from __future__ import annotations

import zlib

from hypothesis import given
from hypothesis import strategies as st

from core.errors import ErrorCode, InvalidRequest
from services.edge.compression import Coding, Inflater, deflated

BODIES = st.one_of(
    st.binary(max_size=300), st.builds(lambda part, times: part * times, st.binary(max_size=9), st.integers(0, 5000))
)


def inflated(inflater: Inflater) -> tuple[ErrorCode | None, bytearray]:
    """How a body ends, and what of it was inflated."""
    try:
        while not inflater.advance(2**20):
            pass
    except InvalidRequest as error:
        return error.code, inflater.data
    return None, inflater.data


@given(st.lists(BODIES, min_size=1, max_size=4), st.integers(1, 70_000))
def test_round_trip_of_members(members: list[bytes], step: int) -> None:
    """A gzip body of any members is inflated to all of them, however small the steps."""
    body = b"".join(deflated(member, Coding.GZIP) for member in members)
    inflater = Inflater(body, Coding.GZIP, limit=2**20)
    while not inflater.advance(step):
        pass
    assert inflater.data == b"".join(members)


@given(BODIES, st.data(), st.sampled_from(Coding))
def test_damage(body: bytes, data: st.DataObject, coding: Coding) -> None:
    """A body with any byte changed, or cut anywhere, is refused or, where the change does not matter, the same."""
    whole = bytearray(deflated(body, coding))
    at = data.draw(st.integers(0, len(whole) - 1))
    if data.draw(st.booleans()):
        del whole[at:]
    else:
        whole[at] ^= data.draw(st.integers(1, 255))
    code, found = inflated(Inflater(whole, coding, limit=2**20))
    assert code in (ErrorCode.MALFORMED, ErrorCode.TOO_LARGE) or found == body


@given(st.integers(0, 200_000), st.integers(0, 200_000))
def test_the_limit_is_exact(size: int, limit: int) -> None:
    """What fits is inflated whole; what does not is refused, with never more than one byte beyond the limit in memory."""
    code, found = inflated(Inflater(zlib.compress(bytes(size)), Coding.DEFLATE, limit=limit))
    assert code == (None if size <= limit else ErrorCode.TOO_LARGE)
    assert len(found) == min(size, limit + 1)
