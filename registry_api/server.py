# SPDX-License-Identifier: Apache-2.0
"""Runs the HTTP process: opens the platform, serves until a signal comes, closes everything."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

import uvicorn
from fastapi import FastAPI

from registry_api.app import create_app
from registry_api.bootstrap import open_platform, open_services
from registry_api.housekeeping import keep_sweeping
from registry_api.models.uploads.interface import TenantBlobs
from registry_api.settings import Settings

BACKLOG: Final = 1024  # connections the kernel keeps for us while all workers are busy


async def serve(settings: Settings) -> None:
    """Serves until SIGINT or SIGTERM; running requests may end within the drain time.

    Raises:
        InitError: ``INIT_*`` if the registry cannot start as configured.
    """
    async with open_platform(settings) as platform, open_services(platform) as services:
        app = create_app(services, settings.limits, settings.http, platform.clock)
        sweeper = asyncio.create_task(keep_sweeping(platform, services.get(TenantBlobs)))  # type: ignore[type-abstract]
        try:
            await _Server(_configuration(app, settings)).serve()
        finally:
            sweeper.cancel()
            with suppress(asyncio.CancelledError):
                await sweeper


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
        log_config=None,  # uvicorn's loggers go through ours
        access_log=False,  # registry_api.http.context writes one
        server_header=False,
        lifespan="off",
        backlog=BACKLOG,
        timeout_keep_alive=http.keep_alive_seconds,
        timeout_graceful_shutdown=http.drain_seconds,
    )
