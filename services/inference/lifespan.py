# SPDX-License-Identifier: Apache-2.0
"""What an API worker opens when it starts, and closes when it stops."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from core.telemetry import logs
from runners.hosting import App, Hosted
from services.front.shared import STATE, Front
from services.inference.app import InferenceApp, Parts, service_of
from services.inference.bootstrap import build, server_version
from services.inference.settings import InferenceSettings

if TYPE_CHECKING:
    from services.grpc_v2.server import GrpcServer


class HostedApp(Hosted):
    """The inference application around BentoML's, which answers what no edge owns."""

    name = "inference"

    def __init__(self, inner: App) -> None:
        super().__init__(inner)
        self._parts: Parts | None = None
        self._grpc: GrpcServer | None = None
        self._drain_s = 0.0
        self._watching: asyncio.Task[None] | None = None

    async def open(self) -> Mapping[str, Any]:
        settings = InferenceSettings.read()
        logs.configure(level=settings.log.level, style=settings.log.style, service=self.name)
        self._drain_s = settings.http.drain_s
        self._parts = await build(settings)
        self._app = InferenceApp(self._inner, self._parts)
        if self._parts.request_log is not None:
            self._parts.request_log.start()
        if self._parts.watch is not None:
            self._watching = asyncio.create_task(self._parts.watch.run())
        if settings.grpc.port is not None:
            from services.inference.grpc import open_grpc  # 20 MB that are of no use without a port

            self._grpc = await open_grpc(self._parts, settings, version=server_version())
        return {STATE: Front(service_of(self._parts))}

    async def close(self) -> None:
        if self._parts is None:
            return
        if self._watching is not None:
            self._watching.cancel()
        ending = [self._parts.plane.close(drain_s=self._drain_s)]
        if self._grpc is not None:
            ending.append(self._grpc.stop(self._drain_s))
        await asyncio.gather(*ending)
        if self._parts.request_log is not None:
            await self._parts.request_log.close()
        await self._parts.coordination.close()
        self._parts.access_log.flush()
