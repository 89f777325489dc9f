# SPDX-License-Identifier: Apache-2.0
"""Start and stop of our part of a process inside the lifespan of the server that BentoML runs in it.

A process that cannot start says why and ends the whole server: BentoML's supervisor would otherwise restart the failing
worker again and again. A worker whose supervisor dies ends as well; one whose supervisor is dead before the worker could ask
the kernel to be told of it does not start. It cannot tell that from its parent alone, which is then another process, so the
supervisor names itself in the environment of its workers.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Coroutine, Mapping, MutableMapping
from types import FrameType
from typing import Any, Final, TypeAlias, TypeVar

from core import garbage
from core.errors import ErrorCode, FuroshikiError, InitError
from core.telemetry import hot, logs
from core.telemetry.logs import get_logger

Message: TypeAlias = MutableMapping[str, Any]
Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
App: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]
Result = TypeVar("Result")

_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h
_SUPERVISOR: Final = "FUROSHIKI_SUPERVISOR_PID"  # variable of workers
_ATTEMPTS: Final = 60  # at ending the supervisor
_PAUSE_S: Final = 0.5  # between two of them

log = get_logger(__name__)


class Hosted(ABC):
    """An ASGI application that wires itself at ``lifespan.startup`` and drains at ``lifespan.shutdown``.

    Args:
        inner: BentoML's application; answers everything, unless :meth:`open` puts another in its place.
    """

    name: str  # of the process, in its log

    def __init__(self, inner: App) -> None:
        self._inner = inner
        self._app = inner
        self._flusher: asyncio.Task[None] | None = None

    @abstractmethod
    async def open(self) -> Mapping[str, Any]:
        """Wires the process; what it returns becomes the lifespan's state. May raise anything: the server then ends."""

    @abstractmethod
    async def close(self) -> None:
        """Ends what was opened."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        first = await receive()
        try:
            scope.setdefault("state", {}).update(await self._start())
        except Exception as error:
            _tell(error)
            await _end_supervisor()
            # Without this message the server would take the failure for "no lifespan support" and serve on.
            await send({"type": "lifespan.startup.failed", "message": str(error)})
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

    async def _start(self) -> Mapping[str, Any]:
        logs.configure(service=self.name)  # so that a wrong setting is told like any other event
        state = await _unless_ended(self._open())
        self._flusher = asyncio.ensure_future(_flush_metrics())
        garbage.settle()
        return state

    async def _open(self) -> Mapping[str, Any]:
        if _is_worker():
            _end_with_supervisor()
        return await self.open()

    async def _stop(self) -> None:
        await self.close()
        if self._flusher is not None:
            self._flusher.cancel()
            hot.flush()


async def _unless_ended(opening: Coroutine[Any, Any, Result]) -> Result:
    """Waits for ``opening``, but not beyond SIGTERM: the server looks at that only when the start is over."""
    loop, task = asyncio.get_running_loop(), asyncio.ensure_future(opening)
    before = signal.getsignal(signal.SIGTERM)

    def end(number: int, at: FrameType | None) -> None:
        loop.call_soon_threadsafe(task.cancel)
        if callable(before):
            before(number, at)

    if _is_worker():
        signal.signal(signal.SIGTERM, end)
    try:
        return await task
    except asyncio.CancelledError:
        raise InitError(ErrorCode.INIT_FAILED, "The server is ending.") from None
    finally:
        if _is_worker():
            signal.signal(signal.SIGTERM, before)


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


def name_supervisor() -> None:
    """Tells the workers that this process will start who their supervisor is; does nothing in a worker."""
    if not _is_worker():
        os.environ[_SUPERVISOR] = str(os.getpid())


def _supervisor() -> int:
    """The process that started this worker, alive or not."""
    return int(os.environ.get(_SUPERVISOR, os.getppid()))


def _end_with_supervisor() -> None:
    """Makes the kernel end this worker when its supervisor dies, so that a killed server leaves nobody on its port.

    Raises:
        InitError: ``INIT_001`` if the supervisor is dead already: of that the kernel says nothing any more.
    """
    with contextlib.suppress(OSError, AttributeError):  # Linux only
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != _supervisor():
        raise InitError(ErrorCode.INIT_FAILED, "The server ended before this worker had started.")


async def _end_supervisor() -> None:
    """Asks BentoML's supervisor, the parent of a worker process, to end; does nothing when there is none, or none any more.

    A supervisor that is busy, with starting other workers for example, forgets the signal: it is sent until ours comes back.
    """
    if _is_worker():
        with contextlib.suppress(InitError):
            await _unless_ended(_insist(_supervisor()))


async def _insist(supervisor: int) -> None:
    for _ in range(_ATTEMPTS):
        if os.getppid() != supervisor:  # it is dead; the parent is a process that is none of our business
            return
        os.kill(supervisor, signal.SIGTERM)
        await asyncio.sleep(_PAUSE_S)
