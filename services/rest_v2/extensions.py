# SPDX-License-Identifier: Apache-2.0
"""Routes of the protocol's extensions: model repository, statistics, system shared memory.

Whose models and regions are meant is decided by the credential alone. There is no CUDA shared memory: nothing of it can be
registered, its status is empty, and to unregister all of it is done at once, as clients do by habit.
"""

from __future__ import annotations

from dataclasses import asdict

import orjson

from core.errors import ErrorCode, InvalidRequest
from core.features import Feature
from services.dataplane.infer import DataPlane
from services.edge.context import Principal
from services.edge.features import require
from services.edge.http import JSON, Exchange
from services.edge.limits import EdgeLimits
from services.rest_v2 import bodies, statistics
from services.shared_memory.regions import Regions


class Extensions:
    """Answers what is not inference.

    Args:
        plane: The data plane.
        regions: The registered regions of shared memory.
        limits: What a request may bring.
    """

    def __init__(self, plane: DataPlane, regions: Regions, *, limits: EdgeLimits) -> None:
        self._plane = plane
        self._regions = regions
        self._limits = limits

    async def index(self, exchange: Exchange, principal: Principal) -> None:
        """The models of the tenant."""
        require(principal, Feature.V2_REPOSITORY)
        asked = bodies.parse(await exchange.body(self._limits), bodies.INDEX, self._limits)
        states = await self._plane.index(principal, ready_only=asked.ready)
        await _answer(exchange, [asdict(state) for state in states])

    async def load(self, exchange: Exchange, principal: Principal, model: str) -> None:
        """Loads a model. Its files and configuration are what was registered; a request cannot bring others."""
        require(principal, Feature.V2_REPOSITORY)
        asked = bodies.parse(await exchange.body(self._limits), bodies.CHANGE, self._limits)
        brought = [name for name in asked.parameters if name == "config" or name.startswith("file:")]
        if brought:
            raise InvalidRequest(
                ErrorCode.INVALID_FIELD,
                f"Parameter {brought[0][:80]!r}: a model is loaded as it was registered and signed; nothing can be replaced.",
            )
        await self._plane.load(principal, model)
        await _answer(exchange, {})

    async def unload(self, exchange: Exchange, principal: Principal, model: str) -> None:
        """Unloads a model."""
        require(principal, Feature.V2_REPOSITORY)
        bodies.parse(await exchange.body(self._limits), bodies.CHANGE, self._limits)
        await self._plane.unload(principal, model)
        await _answer(exchange, {})

    async def statistics(
        self, exchange: Exchange, principal: Principal, model: str | None = None, version: str | None = None
    ) -> None:
        """What was counted of loaded models."""
        require(principal, Feature.V2_STATISTICS)
        found = await self._plane.statistics(principal, model, version)
        await _answer(exchange, statistics.message(found))

    async def region_status(self, exchange: Exchange, principal: Principal, name: str | None = None) -> None:
        """One region, or all of the tenant."""
        require(principal, Feature.V2_SHARED_MEMORY)
        await _answer(exchange, [asdict(region) for region in self._regions.status(principal.tenant, name)])

    async def register(self, exchange: Exchange, principal: Principal, name: str) -> None:
        """Registers a region."""
        require(principal, Feature.V2_SHARED_MEMORY)
        region = bodies.parse(await exchange.body(self._limits), bodies.REGION, self._limits)
        self._regions.register(principal.tenant, name, region.key, region.offset, region.byte_size)
        await _answer(exchange, {})

    async def unregister(self, exchange: Exchange, principal: Principal, name: str | None = None) -> None:
        """Forgets one region, or all of the tenant."""
        require(principal, Feature.V2_SHARED_MEMORY)
        self._regions.unregister(principal.tenant, name)
        await _answer(exchange, {})

    async def cuda_status(self, exchange: Exchange, principal: Principal) -> None:  # noqa: ARG002
        """No region."""
        await _answer(exchange, [])

    async def cuda_unregister(self, exchange: Exchange, principal: Principal) -> None:  # noqa: ARG002
        """Nothing to do."""
        await _answer(exchange, {})


async def _answer(exchange: Exchange, value: object) -> None:
    await exchange.answer(200, orjson.dumps(value), [JSON])
