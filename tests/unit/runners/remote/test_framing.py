# SPDX-License-Identifier: Apache-2.0
"""Frames on a byte stream: what is cut, what is refused, and that views stay what they were."""

from __future__ import annotations

import numpy as np
import pytest

from runners.remote.framing import PREFIX, REPLY, REQUEST, FrameReader, ProtocolError, frame

Frame = tuple[int, int, bytes, bytes]


def feed(reader: FrameReader, data: bytes, *, at_once: int = 1 << 20) -> list[Frame]:
    """Reads ``data`` in pieces and collects the frames."""
    frames: list[Frame] = []
    while data:
        room = reader.buffer()
        count = min(len(room), len(data), at_once)
        room[:count], data = data[:count], data[count:]
        reader.received(count, lambda kind, number, head, body: frames.append((kind, number, bytes(head), bytes(body))))
    return frames


def written(kind: int, number: int, head: bytes, *payload: bytes) -> bytes:
    return b"".join(frame(kind, number, head, payload, sum(map(len, payload))))


def test_frames_come_out_as_they_went_in() -> None:
    """Kind, id, head and payload survive, one after the other and byte by byte."""
    frames = [(REQUEST, 1, b"head", b"payload!"), (REPLY, 2**63, b"", b""), (REQUEST, 3, b"12345678", b"x" * 16)]
    stream = b"".join(written(*each) for each in frames)
    assert feed(FrameReader(1 << 20), stream) == frames
    assert feed(FrameReader(1 << 20), stream, at_once=1) == frames


def test_a_large_frame_gets_memory_of_its_size() -> None:
    """A frame larger than the reader's slab comes out whole, and so does a small one behind it."""
    large = b"z" * 1_000_000
    stream = written(REQUEST, 1, b"h", large) + written(REQUEST, 2, b"i", b"")
    assert feed(FrameReader(1 << 21), stream, at_once=70_000) == [(REQUEST, 1, b"h", large), (REQUEST, 2, b"i", b"")]


def test_payloads_are_aligned() -> None:
    """Every payload begins at a multiple of eight bytes, whatever the length of the heads before it."""
    starts: list[int] = []
    reader = FrameReader(1 << 20)
    for length in range(1, 40):
        data = written(REQUEST, length, b"h" * length, b"payload!")
        room = reader.buffer()
        room[: len(data)] = data
        reader.received(len(data), lambda _k, _n, _h, body: starts.append(np.frombuffer(body, np.uint8).ctypes.data))
    assert [start % 8 for start in starts] == [0] * 39


def test_a_view_is_never_overwritten() -> None:
    """A payload that somebody keeps is the same after megabytes more were read."""
    kept: list[memoryview] = []
    reader = FrameReader(1 << 20)
    for number in range(3000):
        data = written(REQUEST, number, b"h", number.to_bytes(8, "little") * 50)
        while data:
            room = reader.buffer()
            count = min(len(room), len(data))
            room[:count], data = data[:count], data[count:]
            reader.received(count, lambda _k, _n, _h, body: kept.append(body))
    assert [bytes(view[:8]) for view in kept] == [number.to_bytes(8, "little") for number in range(3000)]


@pytest.mark.parametrize(
    ("size", "head"),
    [(1 << 20, 0), (16, 24), (7, 0), (2**32 - 8, 0)],
    ids=["over the limit", "head beyond the frame", "not a multiple of eight", "four gigabytes"],
)
def test_a_frame_that_lies_ends_the_connection(size: int, head: int) -> None:
    """A prefix that breaks the rules is refused before anything is allocated for it."""
    with pytest.raises(ProtocolError):
        feed(FrameReader(1 << 10), PREFIX.pack(size, head, 1, REQUEST))
