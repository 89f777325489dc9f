# SPDX-License-Identifier: Apache-2.0
"""How a call comes in: its data, its messages, its windows and its end.

The receiving window is refilled while nobody has messages left to read: a reader that is slow holds its client back. A
message that is complete with the data that brings it, as that of almost every unary call, is never held here.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from grpc import StatusCode

from core.errors import Overloaded
from services.edge.bodies import BodyBudget
from services.grpc_v2.errors import error_message, error_metadata, grpc_status
from services.grpc_v2.http2 import frames
from services.grpc_v2.http2.assembly import PREFIX, Assembly, CallFault, Message, too_large
from services.grpc_v2.http2.frames import Code, StreamFault
from services.grpc_v2.http2.heads import Head
from services.grpc_v2.http2.outbox import Outbox
from services.grpc_v2.http2.stream import Method, Owner, Stream

WINDOW: Final = 2**20  # bytes a client may send of a stream before they are looked at
_NO_MESSAGE: Final = "The call ended before its message."
_TWO_MESSAGES: Final = "A call of this method has one message."


class Bounds(Protocol):
    """How long a client may be silent, in ticks, and which tick it is."""

    @property
    def now(self) -> int: ...
    @property
    def body_ticks(self) -> int: ...
    @property
    def whole_body_ticks(self) -> int: ...
    @property
    def idle_ticks(self) -> int: ...


class Incoming(Stream):
    """One call, and what came of it.

    Args:
        id: Its number.
        head: What it began with.
        owner: Its connection.
        outbox: What the connection writes with.
        most: The largest message, in bytes.
        budget: Counts what is held of messages.
    """

    __slots__ = ("_budget", "_debt", "_most", "_room", "_waiter", "began", "counted", "heard")

    def __init__(self, id: int, head: Head, owner: Owner, outbox: Outbox, *, most: int, budget: BodyBudget) -> None:  # noqa: A002 -- the protocol's word
        Stream.__init__(self, id, head, owner, outbox)
        self._most = most
        self._budget = budget
        self._room = WINDOW
        self._debt = 0  # bytes received the client was not told to have been taken
        self._waiter: asyncio.Future[None] | None = None
        self.began = self.heard = 0  # the server's tick at the beginning, and when the client last sent something
        self.counted = False  # among the server's calls

    def open(self, method: Method, *, whole: bool) -> None:
        """Begins the call."""
        self._method = method
        self.whole = whole
        if method.streaming:
            self._answering = method.begin(self, None)
        elif whole:
            self.refuse(StatusCode.INTERNAL, _NO_MESSAGE)

    def receive(self, data: bytes, start: int, end: int, *, last: bool, size: int) -> None:
        """Takes the content of a DATA frame.

        Args:
            data: Holds it.
            start: Where it begins.
            end: Where it ends.
            last: Whether the client has sent all with it.
            size: What it counts in windows.

        Raises:
            StreamFault: If the client has sent more than there was room for, or had ended.
        """
        if self.whole:
            raise StreamFault(Code.STREAM_CLOSED)
        self._room -= size
        if self._room < 0:
            raise StreamFault(Code.FLOW_CONTROL_ERROR)
        self.whole = last
        if self._method is None:  # answered before
            if last:
                self.let_go()
            return
        try:
            if not last or self._assembly is not None or self._method.streaming or not self._at_once(data, start, end):
                self._collect(data[start:end], size)
        except CallFault as fault:
            self.refuse(fault.code, fault.details)
        except Overloaded as error:
            self.refuse(grpc_status(error.code), error_message(error), error_metadata(error))

    def _at_once(self, data: bytes, start: int, end: int) -> bool:
        """Whether the only message of the call came with this data, and was begun with."""
        size = end - start - PREFIX
        if size < 0 or data[start] > 1 or int.from_bytes(data[start + 1 : start + PREFIX], "big") != size:
            return False
        if size > self._most:
            raise too_large(size, self._most)
        self._begin(Message(data[start] == 1, data[start + PREFIX : end]))
        return True

    def _begin(self, message: Message | None) -> None:
        method, self._method = self._method, None
        if method is not None:
            answering = method.begin(self, message)
            self._answering = None if self.closed else answering

    def _collect(self, piece: bytes, size: int) -> None:
        assembly = self._assembly
        if assembly is None:
            assembly = self._assembly = Assembly(self._most, self._budget)
        assembly.add(piece)
        self._debt += size
        if self._unary_to_come:
            self._unary(assembly)
        elif self._waiter is not None and (assembly.messages or self.whole) and not self._waiter.done():
            self._waiter.set_result(None)
        if not assembly.messages:
            self._credit()

    def _unary(self, assembly: Assembly) -> None:
        if len(assembly.messages) > 1 or (assembly.messages and assembly.more):
            raise CallFault(StatusCode.INTERNAL, _TWO_MESSAGES)
        if not self.whole:
            return
        if not assembly.messages:
            raise CallFault(StatusCode.INTERNAL, _NO_MESSAGE)
        self._begin(assembly.take())

    def _credit(self) -> None:
        if self._debt >= WINDOW // 2 and not self.whole and not self.closed:
            self._outbox.put(frames.window_update(self.id, self._debt))
            self._room += self._debt
            self._debt = 0

    @property
    def _unary_to_come(self) -> bool:
        return self._method is not None and not self._method.streaming

    @property
    def partial(self) -> bool:
        """Whether something the client has begun to send is missing."""
        if self.whole:
            return False
        return self._unary_to_come or (self._assembly is not None and self._assembly.partial)

    def tick(self, bounds: Bounds) -> None:
        """Ends a call that waits for its client for too long."""
        if self.whole:
            return
        silent = bounds.now - self.heard
        if self._unary_to_come and bounds.now - self.began > bounds.whole_body_ticks:
            self.refuse(StatusCode.DEADLINE_EXCEEDED, "The message did not arrive in time; send it faster.")
        elif silent > (bounds.body_ticks if self.partial else 2 * bounds.idle_ticks):
            self.refuse(StatusCode.DEADLINE_EXCEEDED, "Nothing of the message arrived for too long.")

    def end_input(self) -> None:
        """The client has sent all, which trailers said.

        Raises:
            StreamFault: If it had ended before.
        """
        if self.whole:
            raise StreamFault(Code.STREAM_CLOSED)
        self.receive(b"", 0, 0, last=True, size=0)

    async def next(self) -> Message | None:
        """The next message of a streaming call; None: there is no further one.

        Raises:
            CallFault: If the client ended inside a message.
        """
        while self._assembly is None or not self._assembly.messages:
            if self.whole or self.closed:
                if self.partial_end:
                    raise CallFault(StatusCode.INTERNAL, "The stream ended inside a message.")
                return None
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        message = self._assembly.take()
        if not self._assembly.messages:
            self._credit()
        return message

    @property
    def partial_end(self) -> bool:
        """Whether all came, and a message was not complete."""
        return self._assembly is not None and self._assembly.partial
