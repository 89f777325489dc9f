# SPDX-License-Identifier: Apache-2.0
"""ModelInfer: one request, decoded, run and encoded.

A request whose model is at hand is let in before it is decoded and then runs through plain calls; what has to be looked up or
loaded first takes the data plane's longer way. The event loop is asked for once: in CPython 3.11 each question is a system
call.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Final

from core.inference import InferenceRequest, InferenceResponse
from services.dataplane.run import Answer, Run
from services.edge.context import Principal
from services.edge.results import is_large
from services.grpc_v2 import codec
from services.grpc_v2.calls import Call, Context, Desk, Parts
from services.grpc_v2.codec import Origin
from services.grpc_v2.messages import Received, receive

PROTOCOL: Final = "grpc_v2"


class Inference:
    """Answers inferences. Made on the event loop it is used on.

    Args:
        parts: What they are answered with.
        desk: Where calls come in and go out.
    """

    def __init__(self, parts: Parts, desk: Desk) -> None:
        self._plane = parts.plane
        self._limits = parts.limits
        self._decoder = codec.Decoder(parts.limits, parts.regions)
        self._desk = desk
        self._loop = asyncio.get_running_loop()

    async def infer(self, call: Call, message: bytes, context: Context) -> bytes:
        """ModelInfer."""
        principal = await self._desk.identify(call)
        received = receive(message, self._limits)
        return await self.answer(call, principal, received, remaining=context.time_remaining())

    async def answer(self, call: Call, principal: Principal, received: Received, *, remaining: float | None) -> bytes:
        """Runs one request.

        Args:
            call: Which one it is.
            principal: Who sent it.
            received: The request.
            remaining: Seconds to the deadline of the call; None: it has none.

        Raises:
            FuroshikiError: Whatever decoding, running or encoding may raise; see each.
        """
        now = self._loop.time()
        trace = call.headers.get(b"traceparent")
        origin = Origin(
            caller=principal,
            request_id=call.request_id,
            now=now,
            deadline=None if remaining is None else now + remaining,
            traceparent=None if trace is None else trace.decode(errors="replace"),
        )
        message = received.message
        run = self._plane.begin(principal, message.model_name, message.model_version or None, protocol=PROTOCOL)
        try:
            request, wanted = self._decoder.decode(received, origin)
        except BaseException as error:
            if run is not None:
                run.fail(error)
            raise
        if run is None:
            response = await self._plane.infer(principal, request, protocol=PROTOCOL)
        else:
            response = await self._result(run, request)
        call.notice = response.notice
        if is_large(response, self._limits):
            return await asyncio.to_thread(codec.encode, response, wanted)
        return codec.encode(response, wanted)

    async def _result(self, run: Run, request: InferenceRequest) -> InferenceResponse:
        future: asyncio.Future[InferenceResponse] = self._loop.create_future()
        run.submit(request, partial(_settle, future))
        try:
            return await future
        except asyncio.CancelledError:
            run.cancel()
            raise


def _settle(future: asyncio.Future[InferenceResponse], answer: Answer) -> None:
    if future.done():  # given up in the turn of the loop in which the answer came
        return
    if isinstance(answer, Exception):
        future.set_exception(answer)
    else:
        future.set_result(answer)
