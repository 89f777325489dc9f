# SPDX-License-Identifier: Apache-2.0
"""ModelInfer without a task.

The steps and the answers are those of :mod:`services.grpc_v2.inference`; here they run as plain calls, because a task and a
chain of coroutines cost more than a small model. What has to wait (a credential or a model nobody remembers, a compressed
message, a large result) gets a task then.
"""

from __future__ import annotations

import asyncio
from typing import Final

from grpc import StatusCode

from core.errors import DeadlineExceeded, ErrorCode
from core.inference import InferenceResponse
from services.dataplane.run import Answer, Run
from services.edge.context import Principal
from services.edge.results import is_large
from services.grpc_v2 import codec
from services.grpc_v2.calls import Call, Desk, Parts
from services.grpc_v2.codec import Origin, Wanted
from services.grpc_v2.errors import error_message, error_metadata, grpc_status
from services.grpc_v2.http2.assembly import CallFault, Message
from services.grpc_v2.http2.exchange import unpack
from services.grpc_v2.http2.stream import Answering, Stream
from services.grpc_v2.inference import PROTOCOL, Inference
from services.grpc_v2.messages import receive


class Infer:
    """The method.

    Args:
        parts: What calls are answered with.
        desk: Where they come in and go out.
        inference: Answers those that wait.
    """

    streaming: Final = False

    def __init__(self, parts: Parts, desk: Desk, inference: Inference) -> None:
        self.plane = parts.plane
        self.authenticator = parts.authenticator
        self.limits = parts.limits
        self.decoder = codec.Decoder(parts.limits, parts.regions)
        self.desk = desk
        self.inference = inference
        self.loop = asyncio.get_running_loop()

    def begin(self, stream: Stream, message: Message | None) -> Answering | None:
        """See :class:`services.grpc_v2.http2.stream.Method`."""
        call = _Inference(self, stream)
        if message is not None:
            call.start(message)
        return None if stream.closed else call


class _Inference(Call):
    """One inference. Its own record is the access log's."""

    __slots__ = ("_ended", "_method", "_run", "_stream", "_task", "_wanted")

    _wanted: Wanted

    def __init__(self, method: Infer, stream: Stream) -> None:
        head = stream.head
        Call.__init__(self, head.path, head.headers, 0)
        self._method = method
        self._stream = stream
        self._run: Run | None = None
        self._task: asyncio.Task[None] | None = None
        self._ended = False

    def start(self, message: Message) -> None:
        """Begins to answer."""
        self.received_bytes = len(message.data)
        if message.packed:
            self._later(message, None)
            return
        try:
            principal = self._method.authenticator.known(self.headers)
            if principal is None or not self._submit(principal, message.data):
                self._later(message, principal)
        except Exception as error:
            self._refuse(error)

    def _submit(self, principal: Principal, data: bytes) -> bool:
        """Queues the request; False if that cannot be done without waiting."""
        method = self._method
        self.tenant = principal.tenant
        received = receive(data, method.limits)
        asked = received.message
        run = method.plane.begin(principal, asked.model_name, asked.model_version or None, protocol=PROTOCOL)
        if run is None:
            return False
        try:
            request, self._wanted = method.decoder.decode(received, self._origin(principal))
        except BaseException as error:
            run.fail(error)
            raise
        run.submit(request, self._finish)
        self._run = run
        return True

    def _origin(self, principal: Principal) -> Origin:
        now = self._method.loop.time()
        trace, timeout = self.headers.get(b"traceparent"), self._stream.head.timeout_s
        return Origin(
            principal,
            self.request_id,
            now,
            None if timeout is None else now + timeout,
            None if trace is None else trace.decode(errors="replace"),
        )

    def _later(self, message: Message, principal: Principal | None) -> None:
        self._task = self._method.loop.create_task(self._answer(message, principal))

    async def _answer(self, message: Message, principal: Principal | None) -> None:
        method, head = self._method, self._stream.head
        end = None if head.timeout_s is None else method.loop.time() + head.timeout_s
        try:
            async with asyncio.timeout_at(end):
                data = await unpack(message, head.encoding, method.limits.body_bytes)
                if principal is None:
                    principal = await self._identify()
                received = receive(data, method.limits)
                remaining = None if end is None else end - method.loop.time()
                self._reply(await method.inference.answer(self, principal, received, remaining=remaining))
        except CallFault as fault:
            self.status = fault.code.value[0]
            self._end(ErrorCode.MALFORMED)
            self._stream.finish(fault.code, fault.details, (), None)
        except TimeoutError:
            self._refuse(DeadlineExceeded(ErrorCode.TIMEOUT, "The deadline of the call has passed."))
        except Exception as error:
            self._refuse(error)

    async def _identify(self) -> Principal:
        principal = await self._method.authenticator.authenticate(self.headers)
        self.tenant = principal.tenant
        return principal

    def _finish(self, answer: Answer) -> None:
        self._run = None
        if isinstance(answer, Exception):
            self._refuse(answer)
            return
        self.notice = answer.notice
        try:
            if is_large(answer, self._method.limits):
                self._task = self._method.loop.create_task(self._encode(answer))
            else:
                self._reply(codec.encode(answer, self._wanted))
        except Exception as error:
            self._refuse(error)

    async def _encode(self, answer: InferenceResponse) -> None:
        try:
            self._reply(await asyncio.to_thread(codec.encode, answer, self._wanted))
        except Exception as error:
            self._refuse(error)

    def _reply(self, data: bytes) -> None:
        if self._ended:
            return
        self.sent_bytes = len(data)
        self._end("ok")
        trailing = self.told
        if trailing:
            self._stream.finish(StatusCode.OK, "", trailing, data)
        else:
            self._stream.reply(data)

    def _refuse(self, error: Exception) -> None:
        if self._ended:
            return
        known = self._method.desk.known(self, error)
        self._end(known.code)
        trailing = (("x-request-id", self.request_id), *error_metadata(known))
        self._stream.finish(grpc_status(known.code), error_message(known), trailing, None)

    def _end(self, code: str) -> None:
        self._ended = True
        self._method.desk.record(self, code)

    def gone(self) -> None:
        """See :class:`services.grpc_v2.http2.stream.Answering`."""
        if self._ended:
            return
        self._end(self._method.desk.cancelled(self))
        if self._run is not None:
            self._run.cancel()
        elif self._task is not None:
            self._task.cancel()
