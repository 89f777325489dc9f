# SPDX-License-Identifier: Apache-2.0
"""The route ``POST /v1/infer``."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from core.errors import FuroshikiError
from core.inference import InferenceRequest
from services.dataplane.infer import DataPlane
from services.edge.context import Principal, traceparent
from services.edge.features import require
from services.edge.http import Exchange
from services.edge.interface import Problem, no_route, require_method
from services.edge.limits import EdgeLimits
from services.edge.results import is_large
from services.rest_v1.errors import problem
from services.rest_v1.interface import Answer, Message, to_request
from services.rest_v1.negotiation import negotiate


class RestV1:
    """The short form under ``/v1``.

    Args:
        plane: The data plane.
        limits: What a request may bring.
    """

    prefix = "/v1"

    def __init__(self, plane: DataPlane, *, limits: EdgeLimits) -> None:
        self._plane = plane
        self._limits = limits

    async def public(self, exchange: Exchange) -> bool:  # noqa: ARG002
        return False

    async def handle(self, exchange: Exchange, principal: Principal) -> None:
        if exchange.path != "/v1/infer":
            raise no_route(exchange)
        require_method(exchange, "POST")
        forms = negotiate(exchange.headers.get(b"content-type"), exchange.headers.get(b"accept"))
        for feature in forms.features:
            require(principal, feature)
        started, arrived = time.perf_counter(), asyncio.get_running_loop().time()
        message = forms.reader.parse(bytes(await exchange.body(self._limits)), self._limits)
        with exchange.cancelled_on_hang_up():
            request = await self._request(exchange, principal, message, arrived)
            response = await self._plane.infer(principal, request, protocol="rest_v1")
        answer = Answer(
            response=response,
            request_id=exchange.request_id,
            latency_ms=round((time.perf_counter() - started) * 1000, 3),
            raw=message.raw,
        )
        encode = partial(forms.writer.encode, answer, self._limits)
        body = await asyncio.to_thread(encode) if is_large(response, self._limits) else encode()
        digest = response.digest.encode("ascii")
        headers = [(b"content-type", forms.media_type), (b"x-furoshiki-model-digest", digest)]
        if response.notice is not None:
            headers += response.notice.lines
        await exchange.answer_compressed(200, body, headers, least=self._limits.compress_bytes)

    async def _request(
        self, exchange: Exchange, principal: Principal, message: Message, arrived: float
    ) -> InferenceRequest:
        deadline = message.deadline(arrived)
        model = await self._plane.describe(principal, message.model, message.version, deadline=deadline)
        return to_request(
            message,
            model.signature,
            limits=self._limits,
            tenant=principal.tenant,
            request_id=exchange.request_id,
            deadline=deadline,
            traceparent=traceparent(exchange.headers.get(b"traceparent")),
        )

    def problem(self, error: FuroshikiError, request_id: str, accept: bytes | None = None) -> Problem:
        return problem(error, request_id, accept)
