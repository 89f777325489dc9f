# SPDX-License-Identifier: Apache-2.0
"""Routes of the Open Inference Protocol: health, metadata, infer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeAlias

import orjson

from core.errors import FuroshikiError
from core.tensors import TensorSpec
from services.dataplane.infer import DataPlane
from services.edge.context import Principal
from services.edge.http import BINARY, JSON, Exchange, Headers
from services.edge.interface import Problem, no_route, refuse_encoding, require_method
from services.edge.limits import EdgeLimits
from services.edge.results import is_large
from services.rest_v2 import codec
from services.rest_v2.errors import problem

EXTENSIONS: Final = ["binary_tensor_data"]

_Handler: TypeAlias = Callable[[Exchange, Principal, str, str | None], Awaitable[None]]


class RestV2:
    """The protocol under ``/v2``.

    Args:
        plane: The data plane.
        limits: What a request may bring.
        version: This server's version, for its metadata.
    """

    prefix = "/v2"

    def __init__(self, plane: DataPlane, *, limits: EdgeLimits, version: str) -> None:
        self._plane = plane
        self._limits = limits
        self._server = orjson.dumps({"name": "furoshiki", "version": version, "extensions": EXTENSIONS})

    async def public(self, exchange: Exchange) -> bool:
        match exchange.path:
            case "/v2" | "/v2/":
                require_method(exchange, "GET")
                await exchange.answer(200, self._server, [JSON])
            case "/v2/health/live":
                require_method(exchange, "GET")
                await exchange.answer(200, b'{"live":true}', [JSON])
            case "/v2/health/ready":
                require_method(exchange, "GET")
                await self._ready(exchange)
            case _:
                return False
        return True

    async def _ready(self, exchange: Exchange) -> None:
        ready = await self._plane.ready()
        body = orjson.dumps({"ready": ready, "live": True})
        await exchange.answer(200 if ready else 503, body, [JSON])

    async def handle(self, exchange: Exchange, principal: Principal) -> None:
        method, handler, model, version = self._find(exchange)
        require_method(exchange, method)
        await handler(exchange, principal, model, version)

    def _find(self, exchange: Exchange) -> tuple[str, _Handler, str, str | None]:
        match exchange.path.split("/")[2:]:
            case ["models", model, "infer"]:
                return "POST", self._infer, model, None
            case ["models", model, "versions", version, "infer"]:
                return "POST", self._infer, model, version
            case ["models", model, "ready"]:
                return "GET", self._model_ready, model, None
            case ["models", model, "versions", version, "ready"]:
                return "GET", self._model_ready, model, version
            case ["models", model]:
                return "GET", self._metadata, model, None
            case ["models", model, "versions", version]:
                return "GET", self._metadata, model, version
            case _:
                raise no_route(exchange)

    async def _infer(self, exchange: Exchange, principal: Principal, model: str, version: str | None) -> None:
        refuse_encoding(exchange)
        body = await exchange.body(self._limits)
        request, wanted = codec.decode(
            body,
            exchange.headers.get(b"inference-header-content-length"),
            limits=self._limits,
            tenant=principal.tenant,
            model=model,
            version=version,
            request_id=exchange.request_id,
            now=asyncio.get_running_loop().time(),
        )
        with exchange.cancelled_on_hang_up():
            response = await self._plane.infer(principal, request, protocol="rest_v2")
        if is_large(response, self._limits):
            data, json_size = await asyncio.to_thread(codec.encode, response, wanted, self._limits)
        else:
            data, json_size = codec.encode(response, wanted, self._limits)
        headers: Headers = [JSON if json_size is None else BINARY]
        headers.append((b"x-furoshiki-model-digest", response.digest.encode("ascii")))
        if json_size is not None:
            headers.append((b"inference-header-content-length", b"%d" % json_size))
        await exchange.answer(200, data, headers)

    async def _model_ready(self, exchange: Exchange, principal: Principal, model: str, version: str | None) -> None:
        found = await self._plane.describe(principal, model, version)
        await exchange.answer(200, orjson.dumps({"name": found.name, "ready": True}), [JSON])

    async def _metadata(self, exchange: Exchange, principal: Principal, model: str, version: str | None) -> None:
        found = await self._plane.describe(principal, model, version)
        body = {
            "name": found.name,
            "versions": [found.version],
            "platform": found.runner,
            "inputs": _tensors(found.signature.inputs),
            "outputs": _tensors(found.signature.outputs),
            "properties": {"digest": found.digest, "key_id": found.key_id},
        }
        await exchange.answer(200, orjson.dumps(body), [JSON])

    def problem(self, error: FuroshikiError, request_id: str) -> Problem:
        return problem(error, request_id)


def _tensors(specs: Sequence[TensorSpec]) -> list[dict[str, Any]]:
    return [{"name": spec.name, "datatype": spec.dtype.oip, "shape": spec.shape} for spec in specs]
