# SPDX-License-Identifier: Apache-2.0
"""Runs the HTTP process: opens the platform, serves until a signal comes, closes everything."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from typing import Any, Final

import uvicorn
from fastapi import FastAPI

from core import garbage
from registry_api.app import create_app
from registry_api.audit.service import AuditService
from registry_api.bootstrap.coordination import coordinated
from registry_api.bootstrap.platform import open_platform, open_services
from registry_api.housekeeping import keep_sweeping
from registry_api.http.connections import BoundedConnection
from registry_api.models.resolving import ResolveCache
from registry_api.models.uploads.interface import TenantBlobs
from registry_api.settings.registry import Settings

BACKLOG: Final = 1024  # connections the kernel keeps for us while all workers are busy


async def serve(settings: Settings) -> None:
    """Serves until SIGINT or SIGTERM; running requests may end within the drain time.

    Raises:
        InitError: ``INIT_*`` if the registry cannot start as configured.
    """
    async with (
        open_platform(settings) as platform,
        open_services(platform) as services,
        coordinated(settings.redis, platform.clock, services.get(ResolveCache)) as turns,
    ):
        app = create_app(services, settings.limits, settings.http, platform.clock)
        sweeping = keep_sweeping(platform, services.get(TenantBlobs), turns)  # type: ignore[type-abstract]
        garbage.settle()
        async with _meanwhile(sweeping), _meanwhile(services.get(AuditService).keep_signing()):
            await _Server(_configuration(app, settings)).serve()


@asynccontextmanager
async def _meanwhile(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Does ``work`` in the background and ends it."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


class _Server(uvicorn.Server):
    """Uvicorn's own handling raises the signal again at the end, which would skip closing the platform."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Lets SIGINT and SIGTERM end the serving, and nothing else."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        try:
            yield
        finally:
            for number in (signal.SIGINT, signal.SIGTERM):
                loop.remove_signal_handler(number)


def _configuration(app: FastAPI, settings: Settings) -> uvicorn.Config:
    http = settings.http
    return uvicorn.Config(
        app,
        host=http.host,
        port=http.port,
        http=BoundedConnection,
        ws="none",
        log_config=None,  # uvicorn's loggers go through ours
        access_log=False,  # registry_api.http.context writes one
        server_header=False,
        lifespan="off",
        backlog=BACKLOG,
        timeout_keep_alive=http.keep_alive_seconds,
        timeout_graceful_shutdown=http.drain_seconds,
    )
