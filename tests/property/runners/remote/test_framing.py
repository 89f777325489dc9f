# SPDX-License-Identifier: Apache-2.0
"""The law of frames: however a stream is cut, the same frames come out."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from runners.remote.framing import FrameReader, ProtocolError, frame

LIMIT = 300_000
SIZES = st.one_of(st.integers(0, 40), st.sampled_from([8_000, 70_000, 250_000]))


@st.composite
def frames(draw: st.DrawFn) -> tuple[int, int, bytes, bytes]:
    """Any frame within the limit."""
    size = draw(SIZES) // 8 * 8
    return draw(st.integers(0, 255)), draw(st.integers(0, 2**64 - 1)), draw(st.binary(max_size=30)), bytes(size)


def cut(reader: FrameReader, stream: bytes, pieces: list[int]) -> list[tuple[int, int, bytes, bytes]]:
    """Reads the stream in pieces of these sizes, then the rest."""
    found: list[tuple[int, int, bytes, bytes]] = []
    position = 0
    for piece in [*pieces, *[len(stream)] * 1000]:
        if position == len(stream):
            break
        room = reader.buffer()
        count = min(piece, len(room), len(stream) - position)
        room[:count] = stream[position : position + count]
        position += count
        reader.received(count, lambda kind, number, head, body: found.append((kind, number, bytes(head), bytes(body))))
    return found


@given(st.lists(frames(), max_size=8), st.lists(st.integers(1, 100_000), max_size=40))
def test_frames_come_out_as_they_went_in(sent: list[tuple[int, int, bytes, bytes]], pieces: list[int]) -> None:
    """The frames read are the frames written, whole and in order, wherever the stream was cut."""
    stream = b"".join(b"".join(frame(k, n, head, [body], len(body))) for k, n, head, body in sent)
    assert cut(FrameReader(LIMIT), stream, pieces) == sent


@given(st.binary(max_size=400), st.lists(st.integers(1, 50), max_size=20))
def test_any_bytes_are_frames_or_refused(stream: bytes, pieces: list[int]) -> None:
    """Whatever arrives, the reader gives frames within the limit or refuses; it never needs more than the limit."""
    reader = FrameReader(4096)
    try:
        found = cut(reader, stream, pieces)
    except ProtocolError:
        return
    assert sum(24 + len(head) + len(body) for _, _, head, body in found) <= len(stream)
    assert len(reader.buffer()) <= 64 * 1024
