# SPDX-License-Identifier: Apache-2.0
"""The runner's end: answers every API worker from one batched model.

Guarantees. A request that reaches the runner is answered once, unless its caller cancelled it or its connection ended; then
it leaves the queue uncomputed. A connection may have so many requests unanswered and no more (``QUEUE_001`` at once). One
connection that breaks the rules is closed and costs the others nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final

from core.telemetry.logs import get_logger
from runners.cache import LoadedModel
from runners.remote.channel import Channel, open_channel
from runners.remote.endpoint import Listener, check_peer
from runners.remote.framing import WELCOME, ProtocolError
from runners.remote.limits import WireLimits
from runners.remote.messages import encode, offer_of
from runners.remote.session import Session

_PAUSE_S: Final = 0.1  # when there is no descriptor left for a connection

log = get_logger(__name__)


class RunnerServer:
    """Serves one loaded model on a Unix socket.

    Args:
        loaded: The model; the server does not close it.
        listener: Where; closed with the server.
        limits: Bounds of each connection.
    """

    def __init__(self, loaded: LoadedModel, listener: Listener, *, limits: WireLimits) -> None:
        self._loaded = loaded
        self._listener = listener
        self._limits = limits
        self._offer = encode(offer_of(loaded))
        self._sessions: dict[Session, Channel] = {}
        self._left = asyncio.Event()
        self._greetings: set[asyncio.Task[None]] = set()
        self._accepting = asyncio.ensure_future(self._accept())

    async def close(self, *, drain_s: float) -> None:
        """Accepts no more connections, serves those there are until they end, and ends. May be called twice.

        Args:
            drain_s: Seconds the API workers have to leave; then their connections are closed.
        """
        self._accepting.cancel()
        for task in self._greetings:
            task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain_s):
                while self._sessions:
                    self._left.clear()
                    await self._left.wait()
        for channel in self._sessions.values():
            channel.close()
        self._listener.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listener.socket)
            except OSError as error:
                log.error("connection_not_accepted", reason=str(error))
                await asyncio.sleep(_PAUSE_S)
                continue
            task = asyncio.ensure_future(self._greet(connection))
            self._greetings.add(task)
            task.add_done_callback(self._greetings.discard)

    async def _greet(self, connection: socket.socket) -> None:
        session = Session(self._loaded, self._limits, left=self._forget)
        try:
            connection.setblocking(False)
            check_peer(connection)
            channel = await serve(connection, session, offer=self._offer, limits=self._limits)
        except (ProtocolError, OSError) as error:
            connection.close()
            log.warning("connection_refused", reason=str(error))
            return
        if channel.open:
            self._sessions[session] = channel

    def _forget(self, session: Session) -> None:
        self._sessions.pop(session, None)
        self._left.set()


async def serve(connection: socket.socket, session: Session, *, offer: bytes, limits: WireLimits) -> Channel:
    """Greets a new connection and answers it with ``session`` from then on; closes it when that fails.

    Args:
        connection: With this user's own process at its other end.
        session: Of this connection.
        offer: What is said of the model, encoded.
        limits: Bounds of the connection.

    Raises:
        ProtocolError: The other end is none of ours.
        OSError: The connection broke, or there is no memory to share.
    """
    channel = await open_channel(
        connection, limits=limits, throttled=True, on_frame=session.on_frame, on_lost=session.on_lost
    )
    channel.send(WELCOME, 0, offer)
    return channel
