# SPDX-License-Identifier: Apache-2.0
"""One stream as those see it who answer its call; how it comes in is the matter of :mod:`services.grpc_v2.http2.incoming`."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import Iterable
from typing import Final, Protocol

from grpc import StatusCode

from services.grpc_v2.http2 import heads
from services.grpc_v2.http2.assembly import Assembly, Message
from services.grpc_v2.http2.heads import Head
from services.grpc_v2.http2.outbox import Outbox, Outgoing

# gRPC's own client reports an internal error if a call ends while it sends a message: it gets time to send what it has.
_PATIENCE_S: Final = 0.05


class Answering(Protocol):
    """What answers a call."""

    def gone(self) -> None:
        """Nobody waits for the answer any more."""
        ...


class Method(Protocol):
    """What a path stands for."""

    @property
    def streaming(self) -> bool:
        """Whether a call begins before its first message, and may have any number."""
        ...

    def begin(self, stream: Stream, message: Message | None) -> Answering | None:
        """Begins to answer; None if it is answered already.

        Args:
            stream: The call.
            message: That of a unary call; None: it is streaming.
        """
        ...


class Owner(Protocol):
    """The connection of a stream."""

    def ended(self, id_: int) -> None:
        """All of the answer of a stream was sent."""
        ...


class Stream(Outgoing):
    """One call.

    Args:
        id: Its number.
        head: What it began with.
        owner: Its connection.
        outbox: What the connection writes with.
    """

    __slots__ = (
        "_answering",
        "_assembly",
        "_drained",
        "_held",
        "_method",
        "_outbox",
        "_owner",
        "closed",
        "head",
        "started",
        "whole",
    )

    def __init__(self, id: int, head: Head, owner: Owner, outbox: Outbox) -> None:  # noqa: A002 -- the protocol's word
        Outgoing.__init__(self, id, outbox.first_window)
        self.head = head
        self._owner = owner
        self._outbox = outbox
        self._method: Method | None = None  # to be begun, or streaming
        self._answering: Answering | None = None
        self._assembly: Assembly | None = None
        self._held: bytes | None = None  # the end of an answer that is not sent yet
        self._drained: asyncio.Future[None] | None = None
        self.started = False  # the head of the answer was sent
        self.whole = False  # the client has sent all
        self.closed = False

    @abstractmethod
    async def next(self) -> Message | None:
        """The next message of a streaming call; None: there is no further one.

        Raises:
            CallFault: If the client ended inside a message, or sent what is none.
        """

    async def write(self, message: bytes) -> None:
        """Sends a message of a streaming answer and returns when the client had room for it."""
        if self.closed:
            return
        self._start()
        self._outbox.send(self, message)
        if self.data:
            self._drained = asyncio.get_running_loop().create_future()
            try:
                await self._drained
            finally:
                self._drained = None

    def _start(self) -> None:
        if not self.started:
            self.started = True
            self._outbox.start(self.id)

    def reply(self, message: bytes) -> None:
        """Sends the only message of an answer, and its good end."""
        if not self.closed:
            self.started = True
            self._answering = None
            self._outbox.reply(self, message)

    def finish(
        self, code: StatusCode, details: str, trailing: Iterable[tuple[str, str]], message: bytes | None
    ) -> None:
        """Ends the answer, perhaps with a last message."""
        if self.closed or self._held is not None:
            return
        self._answering = None
        self._method = None
        bare = message is None and not self.started
        block = heads.ended(code.value[0], details, trailing)
        if bare:
            block = heads.STARTED + block
        else:
            self._start()
        if message is not None:
            self._outbox.send(self, message, block)
        elif not self.whole:
            self._held = block
            asyncio.get_running_loop().call_later(_PATIENCE_S, self.let_go)
        else:
            self._outbox.finish(self, block)

    def let_go(self) -> None:
        """Sends the end that was held back, if there is one."""
        block, self._held = self._held, None
        if block is not None and not self.closed:
            self._outbox.finish(self, block)

    def refuse(self, code: StatusCode, details: str, trailing: Iterable[tuple[str, str]] = ()) -> None:
        """Ends a call nothing answers, or will answer."""
        answering = self._answering
        self.finish(code, details, trailing, None)
        if answering is not None:
            answering.gone()

    def refuse_http(self, status: int) -> None:
        """Ends a request that is no call."""
        self._outbox.finish(self, heads.refused(status))

    def sent(self, ended: bool) -> None:
        """See :class:`services.grpc_v2.http2.outbox.Outgoing`."""
        if ended:
            self._owner.ended(self.id)
        elif self._drained is not None and not self._drained.done():
            self._drained.set_result(None)

    def close(self) -> None:
        """Ends whatever still goes on. The connection has forgotten it."""
        self.closed = True
        self._method = None
        self._outbox.drop(self)
        if self._assembly is not None:
            self._assembly.close()
        answering, self._answering = self._answering, None
        if answering is not None:
            answering.gone()
