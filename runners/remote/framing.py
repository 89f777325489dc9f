# SPDX-License-Identifier: Apache-2.0
"""Messages on a byte stream.

A frame is a prefix, a head and a payload. The prefix is 24 bytes, little-endian: bytes that follow it (u32), bytes of the
head (u32), id (u64), kind (u8), seven zeros. The head is MessagePack, padded to eight bytes; the payload is tensors, each
padded to eight bytes. So every tensor is aligned in the buffer it was read into, and is used from there without a copy.

A frame that claims more than its limit, or a head longer than itself, ends the connection.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import numpy as np

PREFIX: Final = struct.Struct("<IIQB7x")
PADDING: Final = tuple(bytes(count) for count in range(8))

# Kinds. Plain integers: they are compared for every frame.
REQUEST: Final = 1  # to the runner; head: messages.Request
CANCEL: Final = 2  # to the runner: nobody waits for this id any more
REPLY: Final = 3  # head: messages.Reply
FAILURE: Final = 4  # head: messages.Failure
FREED: Final = 5  # either way: nothing refers to the block of shared memory at this offset, the id, any more
PING: Final = 6  # to the runner
PONG: Final = 7  # head: statistics
WELCOME: Final = 8  # the runner's first frame; head: messages.Offer

Buffer: TypeAlias = bytes | memoryview
OnFrame: TypeAlias = Callable[[int, int, memoryview, memoryview], None]  # kind, id, head, payload

_SLAB: Final = 64 * 2**10
_LEAST_ROOM: Final = 4 * 2**10


class ProtocolError(Exception):
    """The other end broke the rules; the connection cannot go on. Never leaves this package."""


class TooLarge(Exception):
    """What is to be sent does not fit into one frame. Never leaves this package."""


def frame(kind: int, number: int, head: bytes = b"", payload: Sequence[Buffer] = (), size: int = 0) -> list[Buffer]:
    """The parts of one frame, to be written in order.

    Args:
        kind: One of the kinds above.
        number: The id.
        head: Encoded.
        payload: Parts whose sizes are multiples of eight.
        size: Bytes of the payload.
    """
    padding = PADDING[-len(head) % 8]
    return [PREFIX.pack(len(head) + len(padding) + size, len(head), number, kind), head, padding, *payload]


class FrameReader:
    """Cuts a stream into frames. Bytes are read into slabs that are never written twice, so views of them stay valid.

    Args:
        most: Bytes a frame may have behind its prefix.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._slab = _slab(_SLAB)
        self._start = 0  # of the first incomplete frame
        self._end = 0  # of what was read

    def buffer(self) -> memoryview:
        """Where the next bytes go; never empty."""
        room = len(self._slab) - self._end
        if not room or (room < _LEAST_ROOM and self._start == self._end):
            self._renew(_SLAB)
        return self._slab[self._end :]

    def received(self, count: int, on_frame: OnFrame) -> None:
        """Hands on every frame that ``count`` more bytes complete.

        Raises:
            ProtocolError: The stream is not a sequence of frames within the limit.
        """
        self._end += count
        while self._end - self._start >= PREFIX.size:
            size, head, number, kind = PREFIX.unpack_from(self._slab, self._start)
            if size > self._most or head > size or size % 8:
                raise ProtocolError(f"a frame of {size} bytes with a head of {head}; the limit is {self._most}")
            begin = self._start + PREFIX.size
            end = begin + size
            if end > self._end:
                if end > len(self._slab):
                    self._renew(max(_SLAB, PREFIX.size + size))
                return
            self._start = end
            on_frame(kind, number, self._slab[begin : begin + head], self._slab[begin + head + -head % 8 : end])

    def _renew(self, size: int) -> None:
        """Goes on in another slab, with what of an incomplete frame was read."""
        slab, rest = _slab(size), self._slab[self._start : self._end]
        slab[: len(rest)] = rest
        self._slab, self._start, self._end = slab, 0, len(rest)


def _slab(size: int) -> memoryview:
    return np.empty(size, np.uint8).data
