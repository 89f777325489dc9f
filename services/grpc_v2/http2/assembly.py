# SPDX-License-Identifier: Apache-2.0
"""Messages of one stream, cut out of its data (gRPC over HTTP/2: a byte that says whether it is compressed, four of length).

What came of a message that is not complete, and messages nobody has read yet, are counted among all bodies under way.
"""

from __future__ import annotations

from collections import deque
from typing import Final, NamedTuple

from grpc import StatusCode

from services.edge.bodies import BodyBudget

PREFIX: Final = 5  # bytes
_MOST_CUT: Final = 64  # messages at a time: even empty ones cost time


class Message(NamedTuple):
    """A message as it came."""

    packed: bool
    data: bytes


class CallFault(Exception):
    """A call that gRPC itself ends with an error."""

    def __init__(self, code: StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code
        self.details = details


def too_large(size: int, most: int) -> CallFault:
    """A message beyond its limit, in the words of gRPC."""
    return CallFault(StatusCode.RESOURCE_EXHAUSTED, f"Received message larger than max ({size} vs. {most})")


class Assembly:
    """The receiving side of one stream.

    Args:
        most: The largest message, in bytes.
        budget: Counts what is held.
    """

    __slots__ = ("_budget", "_data", "_held", "_most", "_need", "messages")

    def __init__(self, most: int, budget: BodyBudget) -> None:
        self._most = most
        self._budget = budget
        self._data = bytearray()
        self._need = PREFIX
        self._held = 0
        self.messages: deque[Message] = deque()

    @property
    def more(self) -> bool:
        """Whether something came behind the messages."""
        return bool(self._data)

    @property
    def partial(self) -> bool:
        """Whether a message has begun and not ended, and none is there to be read."""
        return bool(self._data) and not self.messages

    def add(self, piece: bytes) -> None:
        """Takes what follows.

        Raises:
            CallFault: If a message is larger than its limit, or its flag is not known.
            Overloaded: ``QUEUE_001`` if all bodies under way would hold too much.
        """
        self._budget.take(len(piece))
        self._held += len(piece)
        self._data += piece
        self._cut()

    def _cut(self) -> None:
        data = self._data
        start = 0
        while len(data) - start >= self._need and len(self.messages) < _MOST_CUT:
            if self._need == PREFIX and (size := self._announced(start)):
                self._need += size
                continue
            end = start + self._need
            self.messages.append(Message(data[start] == 1, bytes(memoryview(data)[start + PREFIX : end])))
            start, self._need = end, PREFIX
        del data[:start]

    def _announced(self, start: int) -> int:
        flag, size = self._data[start], int.from_bytes(self._data[start + 1 : start + PREFIX], "big")
        if flag > 1:
            raise CallFault(StatusCode.INTERNAL, "The first byte of a message is neither 0 nor 1.")
        if size > self._most:
            raise too_large(size, self._most)
        return size

    def take(self) -> Message:
        """The next message; there must be one.

        Raises:
            CallFault: See :meth:`add`.
        """
        message = self.messages.popleft()
        self._give(PREFIX + len(message.data))
        if self._data and not self.messages:
            self._cut()
        return message

    def close(self) -> None:
        """Gives back what it was counted with. May be called twice."""
        self._data.clear()
        self.messages.clear()
        self._give(self._held)

    def _give(self, size: int) -> None:
        self._held -= size
        self._budget.give(size)
