# SPDX-License-Identifier: Apache-2.0
"""Calls that are answered by a task: every method but ModelInfer.

The handlers are those ``grpc.aio`` would be given, and get what they use of its context. A deadline that passes ends the call
with DEADLINE_EXCEEDED; a client that gives up cancels its task.
"""

from __future__ import annotations

import asyncio
import binascii
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final, TypeAlias

import grpc
from google.protobuf.message import DecodeError
from grpc import StatusCode

from core.errors import ErrorCode, InvalidRequest
from core.telemetry.logs import get_logger
from services.edge.compression import Coding, inflate
from services.grpc_v2.http2.assembly import CallFault, Message, too_large
from services.grpc_v2.http2.stream import Answering, Stream

_CODINGS: Final = {b"gzip": Coding.GZIP, b"deflate": Coding.DEFLATE}
_EXPIRED: Final = "Deadline Exceeded"

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"

log = get_logger(__name__)


async def unpack(message: Message, encoding: bytes, most: int) -> bytes:
    """The bytes of a message, compressed or not.

    Raises:
        CallFault: If it is not compressed as the call says, or larger than its limit.
    """
    if not message.packed:
        return message.data
    coding = _CODINGS.get(encoding)
    if coding is None:
        known = encoding == b"identity"
        raise CallFault(
            StatusCode.INTERNAL if known else StatusCode.UNIMPLEMENTED,
            "A message is compressed in a way the call does not name."
            if known
            else f"grpc-encoding {encoding[:40]!r} is not supported; use gzip, deflate or identity.",
        )
    try:
        return bytes(await inflate(message.data, coding, limit=most))
    except InvalidRequest as error:
        if error.code is ErrorCode.TOO_LARGE:
            raise too_large(most + 1, most) from None
        raise CallFault(StatusCode.INTERNAL, error.message) from None


class Exchange:
    """A call and its task; what its handler takes for ``grpc.aio.ServicerContext``.

    Args:
        stream: The call.
        handler: Answers it.
        first: The message of a unary call.
        most: The largest message, in bytes.
        loop: The running loop.
    """

    def __init__(
        self, stream: Stream, handler: _Handler, first: Message | None, most: int, loop: asyncio.AbstractEventLoop
    ) -> None:
        self._stream = stream
        self._handler = handler
        self._first = first
        self._most = most
        self._loop = loop
        self._code = StatusCode.OK
        self._details = ""
        self._trailing: Iterable[tuple[str, str]] = ()
        timeout = stream.head.timeout_s
        self._deadline = None if timeout is None else loop.time() + timeout
        self._timer = None if timeout is None else loop.call_later(timeout, self._expire)
        self._task = loop.create_task(self._run())

    def gone(self) -> None:
        """See :class:`services.grpc_v2.http2.stream.Answering`."""
        self._task.cancel()

    def _expire(self) -> None:
        self._stream.refuse(StatusCode.DEADLINE_EXCEEDED, _EXPIRED)

    async def _run(self) -> None:
        try:
            message = await self._answer()
            if self._code is not StatusCode.OK:
                message = None
            self._stream.finish(self._code, self._details, self._trailing, message)
        except CallFault as fault:
            self._stream.finish(fault.code, fault.details, (), None)
        except Exception as error:
            log.error("unexpected_error", path=self._stream.head.path, exc_info=error)
            self._stream.finish(StatusCode.UNKNOWN, "The request could not be answered.", (), None)
        finally:
            if self._timer is not None:
                self._timer.cancel()

    async def _answer(self) -> bytes | None:
        handler = self._handler
        streaming, sending = handler.request_streaming, handler.response_streaming
        method: Any = (
            (handler.stream_stream if sending else handler.stream_unary)
            if streaming
            else (handler.unary_stream if sending else handler.unary_unary)
        )
        request: Any = self._requests()
        if not streaming:
            request = None if self._first is None else await self._read(self._first)
        result = method(request, self)
        if hasattr(result, "__aiter__"):
            async for answer in result:
                await self.write(answer)
            return None
        result = await result
        return None if sending else self._written(result)

    async def _requests(self) -> AsyncIterator[Any]:
        while (message := await self.read()) is not grpc.aio.EOF:
            yield message

    async def _read(self, message: Message) -> Any:
        data = await unpack(message, self._stream.head.encoding, self._most)
        decode = self._handler.request_deserializer
        if decode is None:
            return data
        try:
            return decode(data)
        except DecodeError:
            raise CallFault(StatusCode.INTERNAL, "The request cannot be parsed.") from None

    def _written(self, answer: Any) -> bytes:
        encode: Any = self._handler.response_serializer
        data: bytes = answer if encode is None else encode(answer)
        return data

    async def read(self) -> Any:
        """The next request, or ``grpc.aio.EOF``."""
        try:
            message = await self._stream.next()
            return grpc.aio.EOF if message is None else await self._read(message)
        except CallFault as fault:  # is gRPC's own matter: the handler is not asked
            self._stream.refuse(fault.code, fault.details)
            raise asyncio.CancelledError from None

    async def write(self, answer: Any) -> None:
        """Sends one of several answers."""
        await self._stream.write(self._written(answer))

    def invocation_metadata(self) -> tuple[tuple[str, str | bytes], ...]:
        """What the client says beside the request; values of names that end in ``-bin`` are bytes."""
        return tuple((name.decode(), _value(name, value)) for name, value in self._stream.head.fields)

    def time_remaining(self) -> float | None:
        """Seconds to the deadline; None: there is none."""
        return None if self._deadline is None else max(0.0, self._deadline - self._loop.time())

    def set_code(self, code: StatusCode) -> None:
        """How the call ends."""
        self._code = code

    def set_details(self, details: str) -> None:
        """The sentence it ends with."""
        self._details = details

    def set_trailing_metadata(self, trailing: Iterable[tuple[str, str]]) -> None:
        """What it ends with beside."""
        self._trailing = trailing


def _value(name: bytes, value: bytes) -> str | bytes:
    if not name.endswith(b"-bin"):
        return value.decode(errors="replace")
    try:
        return binascii.a2b_base64(value + b"==")
    except binascii.Error:
        return value


class Handled:
    """A method whose calls are answered by tasks.

    Args:
        handler: Answers them.
        most: The largest message, in bytes.
    """

    def __init__(self, handler: _Handler, most: int) -> None:
        self._handler = handler
        self._most = most
        self._loop = asyncio.get_running_loop()
        self.streaming: bool = handler.request_streaming

    def begin(self, stream: Stream, message: Message | None) -> Answering:
        """See :class:`services.grpc_v2.http2.stream.Method`."""
        return Exchange(stream, self._handler, message, self._most, self._loop)
