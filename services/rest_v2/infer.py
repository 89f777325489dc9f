# SPDX-License-Identifier: Apache-2.0
"""The infer routes: receive and decode, run, encode and send."""

from __future__ import annotations

import asyncio

from core.features import Feature
from core.inference import InferenceRequest
from services.dataplane.infer import DataPlane
from services.edge.bodies import Body
from services.edge.context import Principal, traceparent
from services.edge.features import require
from services.edge.http import BINARY, JSON, Exchange, Headers
from services.edge.limits import EdgeLimits
from services.edge.results import is_large
from services.rest_v2 import codec, raw
from services.rest_v2.codec import Wanted
from services.rest_v2.message import claimed_json_size
from services.shared_memory.regions import Regions


class Infer:
    """Answers inference requests.

    Args:
        plane: The data plane.
        regions: The registered regions of shared memory.
        limits: What a request may bring.
    """

    def __init__(self, plane: DataPlane, regions: Regions, *, limits: EdgeLimits) -> None:
        self._plane = plane
        self._regions = regions
        self._limits = limits

    async def answer(self, exchange: Exchange, principal: Principal, model: str, version: str | None) -> None:
        """Answers one request to a model."""
        header_length = exchange.headers.get(b"inference-header-content-length")
        body = await exchange.body(self._limits, align=claimed_json_size(header_length))
        with exchange.cancelled_on_hang_up():
            if header_length == raw.HEADER_LENGTH:
                request, wanted = await self._decode_raw(exchange, principal, body, model, version)
            else:
                request, wanted = codec.decode(
                    body,
                    header_length,
                    limits=self._limits,
                    tenant=principal.tenant,
                    model=model,
                    version=version,
                    request_id=exchange.request_id,
                    now=asyncio.get_running_loop().time(),
                    regions=self._regions,
                    caller=principal,
                )
            request.traceparent = traceparent(exchange.headers.get(b"traceparent"))
            response = await self._plane.infer(principal, request, protocol="rest_v2")
        if is_large(response, self._limits):
            data, json_size = await asyncio.to_thread(codec.encode, response, wanted, self._limits)
        else:
            data, json_size = codec.encode(response, wanted, self._limits)
        headers: Headers = [JSON if json_size is None else BINARY]
        headers.append((b"x-furoshiki-model-digest", response.digest.encode("ascii")))
        if response.notice is not None:
            headers += response.notice.lines
        if json_size is not None:
            headers.append((b"inference-header-content-length", b"%d" % json_size))
        await exchange.answer_compressed(200, data, headers, least=self._limits.compress_bytes)

    async def _decode_raw(
        self, exchange: Exchange, principal: Principal, body: Body, model: str, version: str | None
    ) -> tuple[InferenceRequest, Wanted]:
        require(principal, Feature.V2_BINARY)
        found = await self._plane.describe(principal, model, version)
        return raw.decode(
            body,
            found.signature,
            limits=self._limits,
            tenant=principal.tenant,
            model=model,
            version=found.version,
            request_id=exchange.request_id,
        )
