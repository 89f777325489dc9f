# SPDX-License-Identifier: Apache-2.0
"""Routes of the Open Inference Protocol: health, metadata, infer, and its extensions."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, Final, TypeAlias

import orjson

from core.errors import FuroshikiError
from core.tensors import TensorSpec
from services.dataplane.infer import DataPlane
from services.edge.context import Principal
from services.edge.http import JSON, Exchange
from services.edge.interface import Problem, no_route, require_method
from services.edge.limits import EdgeLimits
from services.rest_v2.codec import NO_REGIONS
from services.rest_v2.errors import problem
from services.rest_v2.extensions import Extensions
from services.rest_v2.infer import Infer
from services.shared_memory.regions import Regions

EXTENSIONS: Final = ("binary_tensor_data", "schedule_policy", "model_repository", "statistics")
MEMORY_EXTENSION: Final = "system_shared_memory"

_Route: TypeAlias = tuple[str, Callable[[Exchange, Principal], Awaitable[None]]]  # method, handler


class RestV2:
    """The protocol under ``/v2``.

    Args:
        plane: The data plane.
        limits: What a request may bring.
        version: This server's version, for its metadata.
        regions: The registered regions of shared memory.
    """

    prefix = "/v2"

    def __init__(self, plane: DataPlane, *, limits: EdgeLimits, version: str, regions: Regions = NO_REGIONS) -> None:
        self._plane = plane
        self._infer = Infer(plane, regions, limits=limits)
        self._extensions = Extensions(plane, regions, limits=limits)
        names = (*EXTENSIONS, MEMORY_EXTENSION) if regions.enabled else EXTENSIONS
        self._server = orjson.dumps({"name": "furoshiki", "version": version, "extensions": names})

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
        match exchange.path.split("/")[2:]:
            case ["models", "stats"]:
                route: _Route | None = "GET", self._extensions.statistics
            case ["models", model, "versions", version, *action]:
                route = self._of_model(model, version, action)
            case ["models", model, *action]:
                route = self._of_model(model, None, action)
            case ["repository", *action]:
                route = self._of_repository(action)
            case ["systemsharedmemory", *action]:
                route = self._of_memory(action)
            case ["cudasharedmemory", *action]:
                route = self._of_cuda_memory(action)
            case _:
                route = None
        if route is None:
            raise no_route(exchange)
        method, handler = route
        require_method(exchange, method)
        await handler(exchange, principal)

    def _of_model(self, model: str, version: str | None, action: list[str]) -> _Route | None:
        match action:
            case ["infer"]:
                return "POST", partial(self._infer.answer, model=model, version=version)
            case ["ready"]:
                return "GET", partial(self._model_ready, model=model, version=version)
            case ["stats"]:
                return "GET", partial(self._extensions.statistics, model=model, version=version)
            case []:
                return "GET", partial(self._metadata, model=model, version=version)
            case _:
                return None

    def _of_repository(self, action: list[str]) -> _Route | None:
        match action:
            case ["index"]:
                return "POST", self._extensions.index
            case ["models", model, "load"]:
                return "POST", partial(self._extensions.load, model=model)
            case ["models", model, "unload"]:
                return "POST", partial(self._extensions.unload, model=model)
            case _:
                return None

    def _of_memory(self, action: list[str]) -> _Route | None:
        match action:
            case ["status"]:
                return "GET", self._extensions.region_status
            case ["unregister"]:
                return "POST", self._extensions.unregister
            case ["region", name, "status"]:
                return "GET", partial(self._extensions.region_status, name=name)
            case ["region", name, "register"]:
                return "POST", partial(self._extensions.register, name=name)
            case ["region", name, "unregister"]:
                return "POST", partial(self._extensions.unregister, name=name)
            case _:
                return None

    def _of_cuda_memory(self, action: list[str]) -> _Route | None:
        match action:
            case ["status"]:
                return "GET", self._extensions.cuda_status
            case ["unregister"]:
                return "POST", self._extensions.cuda_unregister
            case _:
                return None

    async def _model_ready(self, exchange: Exchange, principal: Principal, model: str, version: str | None) -> None:
        ready = await self._plane.model_ready(principal, model, version)
        await exchange.answer(200 if ready else 503, orjson.dumps({"name": model, "ready": ready}), [JSON])

    async def _metadata(self, exchange: Exchange, principal: Principal, model: str, version: str | None) -> None:
        found = await self._plane.describe(principal, model, version)
        versions = [found.version] if version is not None else await self._plane.versions(principal, model)
        body = {
            "name": found.name,
            "versions": versions,
            "platform": found.runner,
            "inputs": _tensors(found.signature.inputs),
            "outputs": _tensors(found.signature.outputs),
            "properties": {"digest": found.digest, "key_id": found.key_id, "version": found.version},
        }
        await exchange.answer(200, orjson.dumps(body), [JSON])

    def problem(self, error: FuroshikiError, request_id: str, accept: bytes | None = None) -> Problem:  # noqa: ARG002
        return problem(error, request_id)


def _tensors(specs: Sequence[TensorSpec]) -> list[dict[str, Any]]:
    return [{"name": spec.name, "datatype": spec.dtype.oip, "shape": spec.shape} for spec in specs]
