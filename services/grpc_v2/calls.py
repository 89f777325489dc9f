# SPDX-License-Identifier: Apache-2.0
"""One call: answered once, logged once, whatever happens inside.

Handlers take and give serialised messages. They raise domain errors; here those become a status and trailing metadata, and an
unknown exception becomes one fixed sentence. A call its client gives up is cancelled by gRPC and logged as such.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol, TypeAlias

from grpc import StatusCode

from core.deprecation import Notice
from core.errors import ErrorCode, FuroshikiError
from services.dataplane.infer import DataPlane
from services.edge.access_log import AccessLog
from services.edge.auth import Authenticator
from services.edge.context import Principal, request_id
from services.edge.faults import shown
from services.edge.limits import EdgeLimits
from services.grpc_v2.errors import error_message, error_metadata, grpc_status
from services.shared_memory.regions import Regions

Context: TypeAlias = Any  # grpc.aio.ServicerContext; its stubs do not know raw bytes

_CODES: Final = {status: status.value[0] for status in StatusCode}


class Parts(Protocol):
    """What the calls are answered with; the HTTP edges use the same."""

    @property
    def plane(self) -> DataPlane: ...
    @property
    def authenticator(self) -> Authenticator: ...
    @property
    def access_log(self) -> AccessLog: ...
    @property
    def limits(self) -> EdgeLimits: ...
    @property
    def regions(self) -> Regions: ...


class Call:
    """One call, or one request of a stream, as the access log sees it. ``status`` is the number of its gRPC status."""

    __slots__ = (
        "headers",
        "notice",
        "path",
        "received_bytes",
        "request_id",
        "sent_bytes",
        "started",
        "status",
        "tenant",
    )

    method: Final = "GRPC"

    def __init__(self, path: str, headers: dict[bytes, bytes], received_bytes: int) -> None:
        self.started = time.perf_counter()
        self.path = path
        self.headers = headers
        self.request_id = request_id(headers.get(b"x-request-id"))
        self.received_bytes = received_bytes
        self.sent_bytes = 0
        self.status = 0
        self.tenant = ""
        self.notice: Notice | None = None  # what a caller of a deprecated version is told

    @property
    def told(self) -> tuple[tuple[str, str], ...]:
        """Trailing metadata of a good end: the request id if the caller named one, and what is deprecated."""
        own = (("x-request-id", self.request_id),) if b"x-request-id" in self.headers else ()
        return own if self.notice is None else (*own, *self.notice.metadata)


_READ: Final = {name: name.encode() for name in ("x-api-key", "authorization", "x-request-id", "traceparent")}


def headers_of(context: Context) -> dict[bytes, bytes]:
    """What is read of a call's metadata, as HTTP headers are kept."""
    return {_READ[key]: value.encode() for key, value in context.invocation_metadata() if key in _READ}


class Desk:
    """Where calls come in and go out.

    Args:
        parts: What they are answered with.
    """

    def __init__(self, parts: Parts) -> None:
        self._authenticator = parts.authenticator
        self._access_log = parts.access_log

    async def identify(self, call: Call) -> Principal:
        """Who calls.

        Raises:
            FuroshikiError: As :meth:`services.edge.auth.interface.Authenticator.authenticate`.
        """
        principal = self._authenticator.known(call.headers) or await self._authenticator.authenticate(call.headers)
        call.tenant = principal.tenant
        return principal

    def unary(
        self, path: str, answer: Callable[[Call, bytes, Context], Awaitable[bytes]]
    ) -> Callable[[bytes, Context], Awaitable[bytes]]:
        """A handler of unary calls.

        Args:
            path: ``/package.Service/Method``.
            answer: Makes the answer or raises.
        """

        async def handle(message: bytes, context: Context) -> bytes:
            call = Call(path, headers_of(context), len(message))
            code = "ok"
            try:
                reply = await answer(call, message, context)
                call.sent_bytes = len(reply)
            except asyncio.CancelledError:
                code = self.cancelled(call)
                raise
            except Exception as error:
                code, reply = self.refuse(call, error, context), b""
            else:
                self.sign(call, context)
            finally:
                self.record(call, code)
            return reply

        return handle

    def sign(self, call: Call, context: Context) -> None:
        """Echoes the request id of a call that names one, and says what is deprecated; errors always carry the id."""
        if call.told:
            context.set_trailing_metadata(call.told)

    def cancelled(self, call: Call) -> str:
        """Notes that nobody waits for the call any more."""
        call.status = _CODES[StatusCode.CANCELLED]
        return ErrorCode.CANCELLED

    def refuse(self, call: Call, error: Exception, context: Context) -> str:
        """Answers a whole call with an error and tells its code."""
        known = self.known(call, error)
        context.set_code(grpc_status(known.code))
        context.set_details(error_message(known))
        context.set_trailing_metadata((("x-request-id", call.request_id), *error_metadata(known)))
        return known.code

    def known(self, call: Call, error: Exception) -> FuroshikiError:
        """What the caller may know of an error, which is logged as far as nobody else will be told."""
        found = shown(error, request_id=call.request_id, path=call.path, tenant=call.tenant)
        call.status = _CODES[grpc_status(found.code)]
        return found

    def record(self, call: Call, code: str) -> None:
        """Writes the access log's line."""
        self._access_log.record(call, seconds=time.perf_counter() - call.started, tenant=call.tenant, code=code)
