# SPDX-License-Identifier: Apache-2.0
"""Messages cut out of data: however it comes, the same ones, and what is held is counted."""

from __future__ import annotations

import pytest
from grpc import StatusCode
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Overloaded
from services.edge.bodies import BodyBudget
from services.grpc_v2.http2.assembly import Assembly, CallFault


def written(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


@given(st.lists(st.binary(max_size=20), max_size=200), st.lists(st.integers(1, 50), min_size=1, max_size=20))
def test_messages(messages: list[bytes], sizes: list[int]) -> None:
    """Law: what is taken are the messages that were written, in their order, and then nothing is counted."""
    budget = BodyBudget(10**6)
    assembly = Assembly(20, budget)
    data, taken, turn = b"".join(map(written, messages)), [], 0
    while data:
        size = sizes[turn % len(sizes)]
        assembly.add(data[:size])
        data, turn = data[size:], turn + 1
        if turn % 3 == 0 and assembly.messages:
            taken.append(assembly.take().data)
    while assembly.messages:
        taken.append(assembly.take().data)
    assert taken == messages
    assert (budget.taken, assembly.more) == (0, False)


def test_few_are_cut_at_a_time() -> None:
    """Many empty messages are cut as they are taken."""
    assembly = Assembly(20, BodyBudget(10**6))
    assembly.add(bytes(5 * 1000))
    assert len(assembly.messages) == 64
    count = 0
    while assembly.messages:
        assembly.take()
        count += 1
    assert count == 1000


def test_what_is_refused() -> None:
    """A message beyond its limit, a flag nobody knows, and more than all bodies may hold; closing gives all back."""
    budget = BodyBudget(30)
    with pytest.raises(CallFault) as large:
        Assembly(20, budget).add(written(bytes(21))[:5])
    with pytest.raises(CallFault) as strange:
        Assembly(20, budget).add(b"\x02\0\0\0\0")
    assert (large.value.code, strange.value.code) == (StatusCode.RESOURCE_EXHAUSTED, StatusCode.INTERNAL)
    budget = BodyBudget(30)
    assembly = Assembly(50, budget)
    assembly.add(written(bytes(40))[:30])
    assert assembly.partial
    with pytest.raises(Overloaded):
        assembly.add(b"x")
    assembly.close()
    assert budget.taken == 0
