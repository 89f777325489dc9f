# SPDX-License-Identifier: Apache-2.0
"""The route ``POST /v1/infer``."""

from __future__ import annotations

import asyncio
import time
from functools import partial

from core.errors import ErrorCode, FuroshikiError, InvalidRequest
from services.dataplane.infer import DataPlane
from services.edge.context import Principal
from services.edge.http import JSON, Exchange
from services.edge.interface import Problem, no_route, refuse_encoding, require_method
from services.edge.limits import EdgeLimits
from services.edge.results import is_large
from services.rest_v1 import codec
from services.rest_v1.errors import problem


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
        refuse_encoding(exchange)
        _require_json(exchange)
        started, arrived = time.perf_counter(), asyncio.get_running_loop().time()
        message = codec.parse(await exchange.body(self._limits), self._limits)
        deadline = message.deadline(arrived)
        with exchange.cancelled_on_hang_up():
            model = await self._plane.describe(principal, message.model, message.version_text, deadline=deadline)
            request = codec.to_request(
                message,
                model.signature,
                limits=self._limits,
                tenant=principal.tenant,
                request_id=exchange.request_id,
                deadline=deadline,
            )
            response = await self._plane.infer(principal, request, protocol="rest_v1")
        seconds = time.perf_counter() - started
        encode = partial(codec.encode, response, limits=self._limits, request_id=exchange.request_id, seconds=seconds)
        body = await asyncio.to_thread(encode) if is_large(response, self._limits) else encode()
        await exchange.answer(200, body, [JSON, (b"x-furoshiki-model-digest", response.digest.encode("ascii"))])

    def problem(self, error: FuroshikiError, request_id: str) -> Problem:
        return problem(error, request_id)


def _require_json(exchange: Exchange) -> None:
    media_type = exchange.headers.get(b"content-type", b"application/json").partition(b";")[0].strip().lower()
    if media_type != b"application/json":
        raise InvalidRequest(
            ErrorCode.UNSUPPORTED_MEDIA_TYPE, f"Content-Type {media_type[:60]!r}; expected 'application/json'."
        )
