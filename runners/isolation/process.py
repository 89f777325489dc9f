# SPDX-License-Identifier: Apache-2.0
"""The process of one model: started, watched, started again, ended.

It is spawned, never forked from this process with its threads, and inherits four descriptors: its order and the verified
files in sealed memory, one end of a socket pair, and a pipe on which it reports once. It ends in any case: when it is closed
here; when this process dies, however, since the kernel then kills it (``PR_SET_PDEATHSIG``) and the socket ends.
That signal is tied to the thread that started the process, so this class belongs to the event loop's.

A process that ends is started again by whoever dials next, after a wait that grows while processes live short.
"""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from core.errors import ErrorCode, FuroshikiError, ModelError, Unavailable
from core.telemetry.logs import get_logger
from runners.isolation.backoff import Backoff
from runners.isolation.environment import environment
from runners.isolation.order import Order, encode_order, reported
from runners.isolation.sealed import Sealed, SealedFiles

_STDERR: Final = 2
_MEMORY: Final = "/dev/shm"  # noqa: S108 -- the folder made in it is private
_LONGEST_REPORT: Final = 2**20  # bytes
_PAGE: Final = resource.getpagesize()
_SIGNALS: Final = {each.value: each.name for each in signal.Signals}
_CRASHES: Final = frozenset({signal.SIGSEGV, signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL})

log = get_logger(__name__)


class ModelProcess:
    """One model's process, or the next one in its place.

    Args:
        order: What it is told.
        files: The model's files; closed with this.
        label: The model, for messages.
        start_s: Seconds it may take to load its model.
        restarted: Told each time another process has taken the place of one that ended.
    """

    def __init__(
        self, order: Order, files: SealedFiles, *, label: str, start_s: float, restarted: Callable[[], None]
    ) -> None:
        self._order = Sealed([encode_order(order)])
        self._files = files
        self._label = label
        self._start_s = start_s
        self._restarted = restarted
        self._loop = asyncio.get_running_loop()
        self._process: subprocess.Popen[bytes] | None = None
        self._connection: socket.socket | None = None  # of a process nobody has dialled yet
        self._started = 0.0  # on the loop's clock
        self._backoff = Backoff()

    @property
    def pid(self) -> int | None:
        """Of the process there is now; None: there is none."""
        return None if self._process is None else self._process.pid

    @property
    def memory(self) -> int:
        """Bytes that the process has for itself: what it would give back."""
        try:
            _, resident, shared = Path(f"/proc/{self.pid}/statm").read_text().split()[:3]
        except OSError:
            return 0
        return (int(resident) - int(shared)) * _PAGE

    async def start(self) -> None:
        """Starts a process and returns when it has loaded the model.

        Raises:
            ModelError: ``MODEL_003`` if the runtime refuses the model, or crashes while it loads it.
            Unavailable: ``DEVICE_001`` if there is no runner or no memory for it, ``MODEL_002`` if it takes too long.
        """
        self._started = self._loop.time()
        try:
            with _scratch() as folder:
                await self._open(folder)
        except OSError as error:
            message = f"No process could be started for {self._label}: {error.strerror}."
            raise Unavailable(ErrorCode.DEVICE_UNAVAILABLE, message, retry_after=1.0) from None
        log.info("model_process_started", model=self._label, pid=self.pid)

    async def _open(self, folder: str) -> None:
        connection, report = self._spawn(folder)
        try:
            async with asyncio.timeout(self._start_s):
                error = await self._heard(report)
        except TimeoutError:
            error = Unavailable(
                ErrorCode.MODEL_NOT_READY,
                f"{self._label} was not loaded within {self._start_s:g} s; its operator can raise "
                "FUROSHIKI_ISOLATION__START_S.",
                retry_after=1.0,
            )
        except BaseException:
            connection.close()
            await self._end()
            raise
        if error is not None:
            connection.close()
            await self._end()
            raise error
        self._connection = connection

    async def dial(self) -> socket.socket:
        """The connection to a process that has loaded the model; the one before, if there was one, is ended.

        Raises:
            ConnectionError: It could not be started now.
        """
        if self._connection is None:
            await self._start_again()
        connection, self._connection = self._connection, None
        if connection is None:
            raise ConnectionError("the process was ended")
        return connection

    def kill(self) -> None:
        """Ends the process there is now; the next one is started by whoever dials."""
        if self._process is not None:
            self._process.kill()

    async def close(self) -> None:
        """Ends the process and frees the files. May be called twice; nobody dials any more."""
        await self._end()
        self._order.close()
        self._files.close()

    async def _start_again(self) -> None:
        lived = self._loop.time() - self._started
        pid, status = self.pid, await self._end()
        wait = self._backoff.after(lived)
        log.error("model_process_ended", model=self._label, pid=pid, how=how(status), again_in_s=wait)
        await asyncio.sleep(wait)
        try:
            await self.start()
        except FuroshikiError as error:
            log.error("model_process_not_started", model=self._label, code=error.code, reason=error.message)
            raise ConnectionError(error.message) from None
        self._restarted()

    def _spawn(self, folder: str) -> tuple[socket.socket, int]:
        """Starts the process, which may write to a folder; this end of its connection, and where its report is read."""
        ours, theirs = socket.socketpair()
        reading, writing = os.pipe()
        inherited = (self._order.fd, self._files.fd, theirs.fileno(), writing)
        numbers = map(str, (os.getpid(), *inherited))
        command = [sys.executable, "-P", "-m", "runners.isolation", *numbers, self._label]
        try:
            self._process = subprocess.Popen(  # noqa: S603 -- fixed arguments
                command,
                env={**environment(os.environ), "HOME": folder, "TMPDIR": folder},
                pass_fds=inherited,
                stdin=subprocess.DEVNULL,
                stdout=_STDERR,  # whatever a runtime prints is talk
                process_group=0,  # what a terminal sends to the service, the service passes on by ending it
            )
        except OSError:
            ours.close()
            os.close(reading)
            raise
        finally:
            theirs.close()
            os.close(writing)
        ours.setblocking(False)
        return ours, reading

    async def _heard(self, report: int) -> FuroshikiError | None:
        """Waits for the report; why the model was not loaded, or None."""
        reader = asyncio.StreamReader()
        file = os.fdopen(report, "rb", 0)
        pipe, _ = await self._loop.connect_read_pipe(partial(asyncio.StreamReaderProtocol, reader), file)
        said = b""
        try:
            while len(said) <= _LONGEST_REPORT and (more := await reader.read(_LONGEST_REPORT)):
                said += more
        finally:
            pipe.close()
        try:
            return reported(said)
        except msgspec.DecodeError:
            return self._died(await self._end())

    def _died(self, status: int) -> FuroshikiError:
        message = f"The process of {self._label} ended while it loaded the model ({how(status)}); its log may say why."
        if -status in _CRASHES:
            return ModelError(ErrorCode.MODEL_INVALID, message)
        return Unavailable(ErrorCode.DEVICE_UNAVAILABLE, message, retry_after=1.0)

    async def _end(self) -> int:
        """Ends the process, if there is one, and takes its connection away; its exit status, 0 without one."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        process, self._process = self._process, None
        if process is None:
            return 0
        process.kill()  # does not change how one has ended that is ending
        return await asyncio.to_thread(process.wait)


def _scratch() -> tempfile.TemporaryDirectory[str]:
    """A folder for a runtime that reads files only, in memory where possible; needed while the model is loaded."""
    return tempfile.TemporaryDirectory(prefix="furoshiki-", dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None)


def how(status: int) -> str:
    """How a process ended, in words."""
    return f"exit status {status}" if status >= 0 else f"signal {_SIGNALS.get(-status, -status)}"
