# SPDX-License-Identifier: Apache-2.0
"""The runner as a BentoML service: with topology ``split`` BentoML starts it as its own supervised process.

It verifies the bundle, loads the model once and answers the API workers on its own Unix socket. Of BentoML it uses the
supervision, the placing on a device and the health and metrics routes; the service has no BentoML API, so there is no route
that would decode a request, pickled or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import bentoml

from core.telemetry import logs
from runners.batching.policy import BatchLimits
from runners.bundles import load_bundle, loader_of
from runners.cache import LoadedModel
from runners.hosting import App, Hosted
from runners.remote.endpoint import Listener
from runners.remote.place import SERVICE, socket_path
from runners.remote.server import RunnerServer
from runners.settings import ServingSettings


class HostedRunner(Hosted):
    """The runner's process."""

    name = "runner"

    def __init__(self, inner: App) -> None:
        super().__init__(inner)
        self._drain_s = 0.0
        self._loaded: LoadedModel | None = None
        self._server: RunnerServer | None = None

    async def open(self) -> Mapping[str, Any]:
        settings = ServingSettings.read()
        logs.configure(level=settings.log.level, style=settings.log.style, service=self.name)
        self._drain_s = settings.http.drain_s
        limits = BatchLimits(**settings.batching.model_dump())
        self._loaded = await load_bundle(settings, loader_of(settings, limits=limits))
        listener = Listener(socket_path(settings.split.socket_dir))
        self._server = RunnerServer(self._loaded, listener, limits=settings.split.wire)
        return {}

    async def close(self) -> None:
        if self._server is not None:
            await self._server.close(drain_s=self._drain_s)
        if self._loaded is not None:
            await self._loaded.handle.close()


class RunnerService(bentoml.Service[Any]):  # type: ignore[misc] # attrs class without type information
    """A BentoML service that answers on a socket of its own."""

    def to_asgi(self, is_main: bool = False) -> App:
        return HostedRunner(super().to_asgi(is_main=is_main))


@bentoml.service(service_class=RunnerService, name=SERVICE, workers=1, logging={"access": {"enabled": False}})
class Runner:
    """Runs one signed model for the API workers of this server."""
