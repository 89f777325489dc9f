# SPDX-License-Identifier: Apache-2.0
"""``grpc.health.v1``: whether requests can be answered now, asked of the data plane each time.

The service itself and the empty name are known. ``Watch`` tells the state at once and each time it has changed, looking
every second.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from grpc import StatusCode
from grpc_health.v1 import health_pb2

from services.grpc_v2.calls import Context

_LOOK_S: Final = 1.0

_Response = health_pb2.HealthCheckResponse


class Health:
    """Answers health checks. Needs no credential, and is not logged.

    Args:
        ready: Whether requests can be answered now.
        services: Names that may be asked about.
    """

    def __init__(self, ready: Callable[[], Awaitable[bool]], services: frozenset[str]) -> None:
        self._ready = ready
        self._services = services
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """From now on nothing is ready, and whoever watches is told so and let go."""
        self._stopping.set()

    async def check(self, request: health_pb2.HealthCheckRequest, context: Context) -> health_pb2.HealthCheckResponse:
        """Check."""
        if request.service not in self._services:
            context.set_code(StatusCode.NOT_FOUND)
            context.set_details("There is no such service.")
        return _Response(status=await self._status(request.service))

    async def watch(self, request: health_pb2.HealthCheckRequest, context: Context) -> None:
        """Watch."""
        told = None
        while True:
            ending = self._stopping.is_set()
            status = await self._status(request.service)
            if status != told:
                await context.write(_Response(status=status))
                told = status
            if ending:
                return
            await self._wait()

    async def _wait(self) -> None:
        try:
            async with asyncio.timeout(_LOOK_S):
                await self._stopping.wait()
        except TimeoutError:
            pass

    async def _status(self, service: str) -> health_pb2.HealthCheckResponse.ServingStatus:
        if service not in self._services:
            return _Response.SERVICE_UNKNOWN
        ready = not self._stopping.is_set() and await self._ready()
        return _Response.SERVING if ready else _Response.NOT_SERVING
