# SPDX-License-Identifier: Apache-2.0
"""Start and stop of the application inside the server's lifespan.

A service that cannot start says why and ends the whole server: BentoML's supervisor would otherwise restart the failing
worker again and again.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import gc
import os
import signal
import sys
from typing import Final

from core.errors import ErrorCode, FuroshikiError
from core.telemetry import hot, logs
from core.telemetry.logs import get_logger
from services.edge.http import App, Message, Receive, Scope, Send
from services.inference.app import InferenceApp, Parts
from services.inference.bootstrap import build
from services.inference.settings import InferenceSettings

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h

log = get_logger(__name__)


class HostedApp:
    """An ASGI application that wires itself at ``lifespan.startup`` and drains at ``lifespan.shutdown``.

    Args:
        inner: BentoML's application; answers what no edge owns.
    """

    def __init__(self, inner: App) -> None:
        self._inner = inner
        self._app = inner
        self._parts: Parts | None = None
        self._flusher: asyncio.Task[None] | None = None
        self._drain_s = 0.0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        first = await receive()
        try:
            await self._start()
        except Exception as error:
            _tell(error)
            # Without this message the server would take the failure for "no lifespan support" and serve on.
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            _end_supervisor()
            return
        replay = [first]

        async def receive_and_stop() -> Message:
            if replay:
                return replay.pop()
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self._stop()
            return message

        await self._inner(scope, receive_and_stop, send)

    async def _start(self) -> None:
        if _is_worker():
            _end_with_supervisor()
        logs.configure(service="inference")  # so that a wrong setting is told like any other event
        settings = InferenceSettings.read()
        logs.configure(level=settings.log.level, style=settings.log.style, service="inference")
        self._drain_s = settings.http.drain_s
        self._parts = await build(settings)
        self._app = InferenceApp(self._inner, self._parts)
        self._flusher = asyncio.ensure_future(_flush_metrics())
        # A full collection visits every object of the imported modules, which stalls requests for tens of milliseconds;
        # they live as long as the process, so the collector need not look at them again. Requests make few cycles: young
        # collections may be rarer than for a program at large.
        gc.collect()
        gc.freeze()
        gc.set_threshold(5_000, 10, 10)

    async def _stop(self) -> None:
        if self._parts is not None:
            await self._parts.plane.close(drain_s=self._drain_s)
            self._parts.access_log.flush()
        if self._flusher is not None:
            self._flusher.cancel()
            hot.flush()


def _tell(error: Exception) -> None:
    if isinstance(error, FuroshikiError):
        log.critical("start_refused", code=error.code, reason=error.message, **error.log_context)
    else:
        log.critical("start_failed", code=ErrorCode.INIT_FAILED, exc_info=error)


async def _flush_metrics() -> None:
    while True:
        await asyncio.sleep(hot.FLUSH_INTERVAL_S)
        hot.flush()


def _is_worker() -> bool:
    """Whether this process was started by BentoML's supervisor."""
    return "--worker-id" in sys.argv


def _end_with_supervisor() -> None:
    """Makes the kernel end this worker when its supervisor dies, so that a killed server leaves nobody on its port."""
    with contextlib.suppress(OSError, AttributeError):  # Linux only
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


def _end_supervisor() -> None:
    """Asks BentoML's supervisor, the parent of a worker process, to end; does nothing when there is none."""
    if _is_worker():
        asyncio.get_running_loop().call_soon(os.kill, os.getppid(), signal.SIGTERM)
