# SPDX-License-Identifier: Apache-2.0
"""One inference request on a connection, from its bytes to the bytes of its answer.

The steps and the answers are those of :mod:`services.rest_v2.routes`; here they run as plain calls, because a task and a
chain of coroutines cost more than a small model. What would have to wait (a credential or a name nobody remembers, a model
that must be loaded) is not done here: ``start`` returns False and the request goes through the ASGI application.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

from core.errors import ErrorCode
from core.inference import InferenceResponse
from services.dataplane.infer import DataPlane
from services.dataplane.run import Answer, Run
from services.edge.access_log import AccessLog
from services.edge.auth import Authenticator
from services.edge.bodies import Body
from services.edge.compression import ON_LOOP, Coding, deflated
from services.edge.context import Principal, request_id
from services.edge.faults import shown
from services.edge.limits import EdgeLimits
from services.edge.results import is_large
from services.edge.status import http_status
from services.front.heads import Head
from services.rest_v2 import codec
from services.rest_v2.errors import problem
from services.shared_memory.regions import Regions

_CODING: Final = b"content-encoding: %b\r\n"
_REQUEST_ID: Final = b"x-request-id: %b\r\n"
_JSON: Final = b"content-type: application/json\r\nx-furoshiki-model-digest: %b\r\nx-request-id: %b\r\n"
_BINARY: Final = (
    b"content-type: application/octet-stream\r\ninference-header-content-length: %d\r\n"
    b"x-furoshiki-model-digest: %b\r\nx-request-id: %b\r\n"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What answers the requests."""

    plane: DataPlane
    authenticator: Authenticator
    access_log: AccessLog
    limits: EdgeLimits
    regions: Regions
    now: Callable[[], float]  # the event loop's clock; looking up the running loop costs a system call
    encoding: set[asyncio.Task[None]] = field(default_factory=set)  # large results, in threads


class Connection(Protocol):
    """Where a call came from and its answer goes."""

    def reply(self, status: int, headers: bytes, body: bytes) -> None:
        """Writes an answer and is free for the next request; nothing happens if the client has gone.

        Args:
            status: HTTP status.
            headers: Complete lines, without the length of the body.
            body: The body.
        """
        ...


class Call:
    """One request.

    Args:
        service: What answers it.
        connection: Where it came from.
        principal: Who sent it.
        head: Its head.
    """

    __slots__ = (
        "_connection",
        "_head",
        "_principal",
        "_run",
        "_service",
        "_started",
        "_wanted",
        "received_bytes",
        "request_id",
        "sent_bytes",
        "status",
    )

    method: Final = "POST"

    def __init__(self, service: Service, connection: Connection, principal: Principal, head: Head) -> None:
        self._started = time.perf_counter()
        self._service = service
        self._connection = connection
        self._principal = principal
        self._head = head
        self._run: Run | None = None
        self.request_id = request_id(head.headers.get(b"x-request-id"))
        self.status = self.received_bytes = self.sent_bytes = 0

    @property
    def path(self) -> str:
        return self._head.path

    def start(self, body: Body) -> bool:
        """Begins to answer.

        Returns:
            False if the request must go through the ASGI application; nothing was done.
        """
        head = self._head
        self.received_bytes = len(body)
        try:
            run = self._service.plane.begin(self._principal, head.model, head.version, protocol="rest_v2")
            if run is None:
                return False
            self._submit(run, body)
        except Exception as error:
            self.refuse(error)
        return True

    def _submit(self, run: Run, body: Body) -> None:
        head, service = self._head, self._service
        try:
            request, self._wanted = codec.decode(
                body,
                head.headers.get(b"inference-header-content-length"),
                limits=service.limits,
                tenant=self._principal.tenant,
                model=head.model,
                version=head.version,
                request_id=self.request_id,
                now=service.now(),
                regions=service.regions,
                caller=self._principal,
            )
        except BaseException as error:
            run.fail(error)
            raise
        request.traceparent = head.traceparent
        run.submit(request, self._finish)
        self._run = run

    def gone(self) -> None:
        """The client hung up: nobody waits for the answer."""
        if self.status:
            return
        if self._run is not None:
            self._run.cancel()
        self.status = http_status(ErrorCode.CANCELLED)
        self._record(ErrorCode.CANCELLED)

    def _finish(self, answer: Answer) -> None:
        self._run = None
        if isinstance(answer, Exception):
            self.refuse(answer)
            return
        limits = self._service.limits
        try:
            if is_large(answer, limits):
                self._apart(answer)
                return
            body, json_size = codec.encode(answer, self._wanted, limits)
            coding = self._head.coding if len(body) >= limits.compress_bytes else None
            if coding is not None and len(body) > ON_LOOP:
                self._apart(answer)
            else:
                self._reply(answer, body if coding is None else deflated(body, coding), json_size, coding)
        except Exception as error:
            self.refuse(error)

    def _apart(self, answer: InferenceResponse) -> None:
        """Encodes and compresses in a thread, and replies then."""
        task = asyncio.ensure_future(self._encode_apart(answer))
        self._service.encoding.add(task)
        task.add_done_callback(self._service.encoding.discard)

    async def _encode_apart(self, answer: InferenceResponse) -> None:
        coding = self._head.coding
        try:
            body, json_size = await asyncio.to_thread(codec.encode, answer, self._wanted, self._service.limits)
            if coding is not None:
                body = await asyncio.to_thread(deflated, body, coding)
            self._reply(answer, body, json_size, coding)
        except Exception as error:
            self.refuse(error)

    def _reply(self, answer: InferenceResponse, body: bytes, json_size: int | None, coding: Coding | None) -> None:
        if self.status:
            return  # the client has gone
        digest, request_id = answer.digest.encode("ascii"), self.request_id.encode("ascii")
        headers = _JSON % (digest, request_id) if json_size is None else _BINARY % (json_size, digest, request_id)
        if answer.notice is not None:
            headers += answer.notice.head
        if coding is not None:
            headers += _CODING % coding.label.encode("ascii")
        self.status = 200
        self.sent_bytes = len(body)
        self._record("ok")
        self._connection.reply(200, headers, body)

    def refuse(self, error: Exception) -> None:
        """Answers with an error, unless the client has gone."""
        if self.status:
            return
        refusal = shown(error, request_id=self.request_id, path=self.path, tenant=self._principal.tenant)
        self.status, body, lines = problem(refusal, self.request_id)
        self.sent_bytes = len(body)
        self._record(refusal.code)
        headers = b"".join(b"%b: %b\r\n" % line for line in lines)
        self._connection.reply(self.status, headers + _REQUEST_ID % self.request_id.encode("ascii"), body)

    def _record(self, code: str) -> None:
        seconds = time.perf_counter() - self._started
        self._service.access_log.record(self, seconds=seconds, tenant=self._principal.tenant, code=code)
