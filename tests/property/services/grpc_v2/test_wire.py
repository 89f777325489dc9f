# SPDX-License-Identifier: Apache-2.0
"""What ``split`` returns, put together again, parses to the same message."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.grpc_v2 import wire
from services.grpc_v2.protocol import open_inference_pb2 as pb

RAW = pb.ModelInferRequest.RAW_INPUT_CONTENTS_FIELD_NUMBER
WORDS = st.text(max_size=8)
PARAMETERS = st.dictionaries(WORDS, st.integers(-(2**63), 2**63 - 1), max_size=3)


@st.composite
def messages(draw: st.DrawFn) -> bytes:
    """A serialised request, its fields possibly interleaved, as concatenated messages are."""
    parts = draw(
        st.lists(
            st.builds(
                lambda name, shape, raw, parameters: pb.ModelInferRequest(
                    model_name=name,
                    inputs=[pb.ModelInferRequest.InferInputTensor(name=name, shape=shape)],
                    raw_input_contents=raw,
                    parameters={key: pb.InferParameter(int64_param=value) for key, value in parameters.items()},
                ),
                WORDS,
                st.lists(st.integers(-1, 2**40), max_size=3),
                st.lists(st.binary(max_size=300), max_size=3),
                PARAMETERS,
            ),
            max_size=3,
        )
    )
    return b"".join(part.SerializeToString() for part in parts)


@given(messages())
def test_nothing_is_lost(data: bytes) -> None:
    """The rest and the cut values hold exactly what the message held, the values in their order."""
    rest, cut = wire.split(data, RAW)
    expected = pb.ModelInferRequest.FromString(data)
    assert [data[start : start + size] for start, size in cut] == list(expected.raw_input_contents)
    expected.ClearField("raw_input_contents")
    assert pb.ModelInferRequest.FromString(rest) == expected


@given(st.binary(max_size=200))
def test_any_bytes(data: bytes) -> None:
    """Bytes are split or refused, and what is split lies inside of them."""
    try:
        rest, cut = wire.split(data, RAW)
    except (wire.WireError, wire.TooManyFields):
        return
    assert len(rest) + sum(size for _, size in cut) <= len(data)
    assert all(start >= 0 and start + size <= len(data) for start, size in cut)


@given(messages(), st.data())
def test_a_message_that_was_cut_off(data: bytes, draws: st.DataObject) -> None:
    """A prefix is never read beyond its end."""
    prefix = data[: draws.draw(st.integers(0, len(data)))]
    try:
        rest, cut = wire.split(prefix, RAW)
    except wire.WireError:
        return
    assert len(rest) + sum(size for _, size in cut) <= len(prefix)


@given(st.integers(1, 15), st.one_of(st.integers(0, 300), st.integers(0, 2**31 - 1)))
def test_delimited(field: int, size: int) -> None:
    """The head of a value is what a reader of the wire format expects."""
    head = wire.delimited(field, size)
    assert head[0] == field << 3 | 2
    value = 0
    for index, byte in enumerate(head[1:]):
        value |= (byte & 0x7F) << (7 * index)
    assert value == size
    assert all(byte & 0x80 for byte in head[1:-1])
    assert head[-1] < 0x80


def test_many_fields_are_refused() -> None:
    """A message of a thousand tiny fields is refused before it has cost much."""
    with pytest.raises(wire.TooManyFields):
        wire.split(b"\x3a\x00" * 2000, RAW)
