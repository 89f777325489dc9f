# SPDX-License-Identifier: Apache-2.0
"""The API worker's connection to its runner: made again whenever it ends, and watched while it stands.

A runner whose connection ended is gone; the link asks for it again, less and less often. One that says nothing for
``silence_s`` although it is asked is silent: the connection stays, and counts again as soon as anything arrives. Silence is
counted in questions, not in time, so that a worker that was itself held up does not blame its runner. A runner that comes
back with another model is not used, since what was said of the first would not be true of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias, TypeVar

import msgspec

from core.errors import ErrorCode, InitError
from core.telemetry.logs import get_logger
from runners.remote.channel import Channel, OnFrame, open_channel
from runners.remote.framing import PING, PONG, WELCOME, ProtocolError
from runners.remote.limits import WireLimits
from runners.remote.messages import Offer, decode_offer, decode_statistics
from runners.statistics import ModelStatistics

Head = TypeVar("Head")
Dial: TypeAlias = Callable[[], Awaitable[socket.socket]]

_FIRST_PAUSE_S: Final = 0.02
_LONGEST_PAUSE_S: Final = 0.5
_WELCOME_S: Final = 5.0
_TICKS: Final = 4  # in the time after which silence counts

log = get_logger(__name__)


class Link:
    """One connection at a time to a runner.

    Args:
        dial: Makes a new connection; raises OSError or ProtocolError when there is no runner now.
        limits: Bounds of the connection.
        on_frame: Told of every frame but those of this class.
        on_tick: Told several times in ``limits.silence_s``, connected or not.
        on_lost: Told at once, when a connection has ended.
        on_found: Told when there is a runner, or it answers again.
    """

    def __init__(
        self,
        dial: Dial,
        *,
        limits: WireLimits,
        on_frame: OnFrame,
        on_tick: Callable[[], None],
        on_lost: Callable[[], None],
        on_found: Callable[[], None],
    ) -> None:
        self.channel: Channel | None = None  # None: there is no runner
        self.silent = False  # there is one, but it hangs
        self.offer: Offer | None = None  # of the first runner; the others must make the same
        self.statistics = ModelStatistics()
        self._dial = dial
        self._limits = limits
        self._on_frame = on_frame
        self._on_tick = on_tick
        self._on_lost = on_lost
        self._on_found = on_found
        self._loop = asyncio.get_running_loop()
        self._changed = asyncio.Event()
        self._welcome: asyncio.Future[Offer] | None = None
        self._unanswered = 0  # ticks since the oldest ping without an answer
        self._task = asyncio.ensure_future(self._keep())
        self._beat = self._loop.call_later(limits.silence_s / _TICKS, self._tick)

    async def first(self, within_s: float) -> Offer:
        """Waits for the runner.

        Raises:
            InitError: ``INIT_001`` if it is not there in time.
        """
        try:
            async with asyncio.timeout(within_s):
                while self.offer is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            raise InitError(
                ErrorCode.INIT_FAILED,
                f"The runner did not serve its model within {within_s:g} s; its own log says why. A large model may need "
                "a larger FUROSHIKI_SPLIT__START_S.",
            ) from None
        return self.offer

    async def close(self) -> None:
        """Ends the connection and asks for no other. May be called twice."""
        self._beat.cancel()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        channel, self.channel = self.channel, None
        if channel is not None:
            channel.close()

    async def _keep(self) -> None:
        pause = _FIRST_PAUSE_S
        while True:
            try:
                await self._connect()
                pause = _FIRST_PAUSE_S
            except (OSError, ProtocolError, TimeoutError) as error:
                log.debug("runner_not_reached", reason=str(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)
                continue
            while self.channel is not None:
                self._changed.clear()
                await self._changed.wait()

    async def _connect(self) -> None:
        welcome = self._welcome = self._loop.create_future()
        channel = await open_channel(
            await self._dial(),
            limits=self._limits,
            throttled=False,
            on_frame=self._received,
            on_lost=self._ended,
        )
        try:
            async with asyncio.timeout(_WELCOME_S):
                offer = await welcome
            if self.offer not in (None, offer):
                log.error("runner_refused", reason="it has another model now; restart the service to serve that")
                raise ProtocolError("another model")
        except BaseException:
            channel.abort()
            raise
        if not channel.open:
            raise ProtocolError("the runner left again")
        self.offer, self.channel = offer, channel
        self.silent, self._unanswered = False, 0
        log.info("runner_connected", model=f"{offer.tenant}/{offer.model}@{offer.version}", digest=offer.digest)
        self._changed.set()
        self._on_found()

    def _received(self, channel: Channel, kind: int, number: int, head: memoryview, payload: memoryview) -> None:
        if channel is self.channel:
            self._heard()
            if kind == PONG:
                self.statistics = read(decode_statistics, head)
            else:
                self._on_frame(channel, kind, number, head, payload)
        elif kind == WELCOME and self._welcome is not None and not self._welcome.done():
            self._welcome.set_result(read(decode_offer, head))

    def _ended(self, channel: Channel) -> None:
        if self._welcome is not None and not self._welcome.done():
            self._welcome.set_exception(ProtocolError("the runner left before it said what it serves"))
        if channel is self.channel:
            self.channel = None
            log.warning("runner_lost")
            self._on_lost()
        self._changed.set()

    def _heard(self) -> None:
        self._unanswered = 0
        if self.silent:
            self.silent = False
            log.warning("runner_answers_again")
            self._on_found()

    def _tick(self) -> None:
        self._beat = self._loop.call_later(self._limits.silence_s / _TICKS, self._tick)
        if self.channel is not None:
            if not self._unanswered:
                self.channel.send(PING, 0)
            self._unanswered += 1
            if self._unanswered > _TICKS and not self.silent:
                self.silent = True
                log.error("runner_silent", seconds=self._limits.silence_s)
        self._on_tick()


def read(decode: Callable[[memoryview], Head], head: memoryview) -> Head:
    """Decodes a head.

    Raises:
        ProtocolError: It is not one.
    """
    try:
        return decode(head)
    except msgspec.DecodeError as error:
        raise ProtocolError(f"a message that cannot be read: {error}") from None
