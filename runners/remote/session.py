# SPDX-License-Identifier: Apache-2.0
"""The requests of one API worker, at the runner's end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import msgspec

from core.errors import ErrorCode, FuroshikiError, InvalidRequest, Overloaded
from core.inference import InferenceRequest
from core.telemetry.logs import get_logger
from core.tensors import Array, Shape
from runners.batching.waiting import Ticket
from runners.cache import LoadedModel
from runners.remote.channel import Channel
from runners.remote.errors import described, unexpected
from runners.remote.framing import CANCEL, FAILURE, PING, PONG, REPLY, REQUEST, ProtocolError, TooLarge
from runners.remote.limits import WireLimits
from runners.remote.messages import Reply, Request, decode_request, encode
from runners.remote.tensors import pack, unpack

log = get_logger(__name__)


class Session:
    """Runs what one connection asks for.

    Args:
        loaded: The model.
        limits: Bounds of the connection.
        left: Told once, when the connection has ended.
    """

    def __init__(self, loaded: LoadedModel, limits: WireLimits, *, left: Callable[[Session], None]) -> None:
        self._loaded = loaded
        self._handle = loaded.handle
        self._most = limits.in_flight
        self._left = left
        self._loop = asyncio.get_running_loop()
        signature = loaded.handle.signature
        self._inputs, self._outputs = signature.inputs, signature.outputs
        self._dtypes = {spec.name: spec.dtype for spec in signature.inputs}
        self._tickets: dict[int, Ticket] = {}

    def on_frame(self, channel: Channel, kind: int, number: int, head: memoryview, payload: memoryview) -> None:
        """Answers a frame, now or when its result is there."""
        if kind == REQUEST:
            self._request(channel, number, head, payload)
        elif kind == CANCEL:
            ticket = self._tickets.pop(number, None)
            if ticket is not None:
                ticket.cancel()
        elif kind == PING:
            channel.send(PONG, number, encode(self._handle.statistics()))
        else:
            raise ProtocolError(f"a frame of kind {kind} at the runner")

    def on_lost(self, _channel: Channel) -> None:
        """Nobody waits for anything any more."""
        tickets, self._tickets = self._tickets, {}
        for ticket in tickets.values():
            ticket.cancel()
        self._left(self)

    def _request(self, channel: Channel, number: int, head: memoryview, payload: memoryview) -> None:
        if number in self._tickets:
            raise ProtocolError(f"request {number} twice")
        try:
            asked = decode_request(head)
        except msgspec.DecodeError as error:
            raise ProtocolError(f"a request that cannot be read: {error}") from None
        request = self._decoded(asked, channel.payload(asked.block, asked.size, payload))
        try:
            if len(self._tickets) >= self._most:
                raise Overloaded(
                    ErrorCode.QUEUE_FULL, f"{self._most} requests of this worker wait already.", retry_after=1.0
                )
            done = partial(self._done, channel, number, asked.outputs)
            self._tickets[number] = self._handle.submit(request, done)
        except Exception as error:
            self._fail(channel, number, error)

    def _decoded(self, asked: Request, payload: memoryview) -> InferenceRequest:
        return InferenceRequest(
            tenant=asked.tenant,
            model=self._loaded.model,
            version=self._loaded.version,
            request_id=asked.request_id,
            inputs=unpack(self._inputs, asked.shapes, payload),
            dtypes=self._dtypes,
            outputs=asked.outputs,
            deadline=None if asked.remaining is None else self._loop.time() + asked.remaining,
            priority=asked.priority,
            traceparent=asked.traceparent,
        )

    def _done(
        self, channel: Channel, number: int, wanted: tuple[str, ...] | None, outcome: dict[str, Array] | Exception
    ) -> None:
        del self._tickets[number]
        if isinstance(outcome, Exception):
            self._fail(channel, number, outcome)
            return
        specs = self._outputs if wanted is None else [spec for spec in self._outputs if spec.name in wanted]
        try:
            channel.send_tensors(REPLY, number, _reply, pack(specs, outcome))
        except TooLarge as error:
            message = f"The result is too large to be sent: {error}."
            self._fail(channel, number, InvalidRequest(ErrorCode.TOO_LARGE, message))
        except Exception as error:
            self._fail(channel, number, error)

    def _fail(self, channel: Channel, number: int, error: Exception) -> None:
        if not isinstance(error, FuroshikiError):
            log.error("unexpected_error", request=number, exc_info=error)
            error = unexpected()
        channel.send(FAILURE, number, described(error))


def _reply(shapes: list[Shape], block: int | None, size: int) -> bytes:
    return encode(Reply(shapes, block, size))
