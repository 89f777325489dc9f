# SPDX-License-Identifier: Apache-2.0
"""ModelStreamInfer: any number of requests over one call.

Answers come in the order of the requests, so a client can match them without ids. Up to ``stream_requests`` of them are under
way at a time and share batches; then nothing more is read, and HTTP/2's flow control holds the client back. A request that
fails is answered by ``error_message`` and the stream goes on. The stream ends with a status when its credential opens
nothing any more, when no request came for ``stream_idle_s`` and when the service stops; what was read is answered first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import grpc

from core.errors import DeadlineExceeded, ErrorCode, FuroshikiError, Unavailable
from core.features import Feature
from services.edge.context import Principal
from services.edge.features import require
from services.edge.limits import EdgeLimits
from services.grpc_v2 import wire
from services.grpc_v2.calls import Call, Context, Desk, headers_of
from services.grpc_v2.errors import ERROR_KEY, error_message
from services.grpc_v2.inference import Inference
from services.grpc_v2.messages import receive
from services.grpc_v2.options import GrpcOptions
from services.grpc_v2.protocol import open_inference_pb2 as pb

_ANSWER: Final = pb.ModelStreamInferResponse.INFER_RESPONSE_FIELD_NUMBER
# Clients of Triton that ask for it learn here that no further answer belongs to the request.
_FINAL_KEY: Final = "triton_final_response"
_FINAL: Final = pb.ModelInferResponse(parameters={_FINAL_KEY: pb.InferParameter(bool_param=True)}).SerializeToString()

# An answer to come; or the end: because of an error, or because the client has sent all.
_Step: TypeAlias = "asyncio.Task[bytes] | Exception | None"


class Streams:
    """Answers streams.

    Args:
        path: ``/package.Service/Method``.
        inference: Answers each request.
        desk: Where calls come in and go out.
        limits: What a request may bring.
        options: Bounds of a stream.
    """

    def __init__(self, path: str, inference: Inference, desk: Desk, limits: EdgeLimits, options: GrpcOptions) -> None:
        self._path = path
        self._inference = inference
        self._desk = desk
        self._limits = limits
        self._options = options
        self._open: set[_Stream] = set()

    def __len__(self) -> int:
        return len(self._open)

    async def handle(self, _requests: object, context: Context) -> None:
        """The handler of a stream."""
        call = Call(self._path, headers_of(context), 0)
        stream = _Stream(context, self._options, lambda message: self._begin(call.headers, message, context))
        self._open.add(stream)
        code = "ok"
        try:
            await self._identify(call)
            self._desk.sign(call, context)
            await stream.run()
        except asyncio.CancelledError:
            code = self._desk.cancelled(call)
            raise
        except Exception as error:
            code = self._desk.refuse(call, error, context)
        finally:
            self._open.discard(stream)
            self._desk.record(call, code)

    def stop(self) -> None:
        """Lets every stream end after what it has read."""
        for stream in self._open:
            stream.stop()

    async def _identify(self, call: Call) -> Principal:
        principal = await self._desk.identify(call)
        require(principal, Feature.V2_STREAMING)
        return principal

    async def _begin(self, headers: dict[bytes, bytes], message: bytes, context: Context) -> asyncio.Task[bytes]:
        """Begins with one request. A credential is asked about each time: streams live longer than credentials."""
        call = Call(self._path, headers, len(message))
        principal = await self._identify(call)
        return asyncio.ensure_future(self._answer(call, principal, message, context.time_remaining()))

    async def _answer(self, call: Call, principal: Principal, message: bytes, remaining: float | None) -> bytes:
        request_id = ""
        try:
            received = receive(message, self._limits)
            request_id = received.id
            answer = await self._inference.answer(call, principal, received, remaining=remaining)
        except asyncio.CancelledError:
            self._desk.record(call, self._desk.cancelled(call))
            raise
        except Exception as error:
            known = self._desk.known(call, error)
            return self._sent(call, _failed(known, request_id), known.code)
        return self._sent(call, _answered(answer), "ok")

    def _sent(self, call: Call, reply: bytes, code: str) -> bytes:
        call.sent_bytes = len(reply)
        self._desk.record(call, code)
        return reply


class _Stream:
    """The requests of one stream, from its reader to its writer."""

    def __init__(
        self,
        context: Context,
        options: GrpcOptions,
        begin: Callable[[bytes], Awaitable[asyncio.Task[bytes]]],
    ) -> None:
        self._context = context
        self._begin = begin
        self._idle_s = options.stream_idle_s
        self._room = asyncio.Semaphore(options.stream_requests)
        self._steps: asyncio.Queue[_Step] = asyncio.Queue()
        self._reader: asyncio.Task[None] | None = None
        self._under_way: set[asyncio.Task[bytes]] = set()

    async def run(self) -> None:
        """Answers until the client or something else ends the stream.

        Raises:
            FuroshikiError: Why the stream ends, if not because the client has sent all.
        """
        self._reader = asyncio.ensure_future(self._read())
        try:
            while (step := await self._steps.get()) is not None:
                if isinstance(step, Exception):
                    raise step
                await self._context.write(await step)
                self._under_way.discard(step)
                self._room.release()
        finally:
            for task in (self._reader, *self._under_way):
                task.cancel()
            await asyncio.gather(self._reader, *self._under_way, return_exceptions=True)

    def stop(self) -> None:
        """Reads no more; the stream ends after what was read."""
        self._steps.put_nowait(_stopping())
        if self._reader is not None:
            self._reader.cancel()

    async def _read(self) -> None:
        end: Exception | None = None
        try:
            await self._read_all()
        except TimeoutError:
            end = _idle(self._idle_s)
        except Exception as error:
            end = error
        self._steps.put_nowait(end)

    async def _read_all(self) -> None:
        while True:
            await self._room.acquire()
            async with asyncio.timeout(self._idle_s):
                message = await self._context.read()
            if message is grpc.aio.EOF:
                return
            task = await self._begin(message)
            self._under_way.add(task)
            self._steps.put_nowait(task)


def _answered(answer: bytes) -> bytes:
    """A ``ModelStreamInferResponse`` around a serialised answer."""
    return b"".join((wire.delimited(_ANSWER, len(answer) + len(_FINAL)), answer, _FINAL))


def _failed(error: FuroshikiError, request_id: str) -> bytes:
    """A ``ModelStreamInferResponse`` for a request that failed; the code is a parameter of the otherwise empty answer."""
    answer = pb.ModelInferResponse(
        id=request_id,
        parameters={
            ERROR_KEY: pb.InferParameter(string_param=error.code.value),
            _FINAL_KEY: pb.InferParameter(bool_param=True),
        },
    )
    return pb.ModelStreamInferResponse(error_message=error_message(error), infer_response=answer).SerializeToString()


def _stopping() -> FuroshikiError:
    return Unavailable(ErrorCode.MODEL_NOT_READY, "The service is ending; open the stream anew.", retry_after=1.0)


def _idle(idle_s: float) -> FuroshikiError:
    return DeadlineExceeded(ErrorCode.TIMEOUT, f"No request came for {idle_s:g} s.")
