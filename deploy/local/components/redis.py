# SPDX-License-Identifier: Apache-2.0
"""A real ``redis-server`` on a free loopback port. Stopped or killed it may be started again, on the same port.

Needs the Debian package ``redis-server``.
"""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import redis as client_library

from deploy.local.stack import NotStarted, free_port

_START_S: Final = 10.0


class RedisServer:
    """One server.

    Args:
        folder: For its log and its append-only file.
        persistent: Whether it writes every change to its append-only file, so that it survives ``kill`` and ``start``.
    """

    def __init__(self, folder: Path, *, persistent: bool = False) -> None:
        self._folder = folder
        self._persistent = persistent
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{self._port}/0"

    @property
    def client(self) -> client_library.Redis:
        """A client of its own, to look inside."""
        return client_library.Redis.from_url(self.url, decode_responses=True)

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None

    def start(self) -> None:
        """Starts it and waits until it answers; nothing if it runs.

        Raises:
            NotStarted: If it is not installed, or does not answer in time.
        """
        if self._process is not None:
            return
        program = shutil.which("redis-server")
        if program is None:
            raise NotStarted("redis-server is not installed; run deploy/local/apt.sh redis-server")
        log = self._folder / "redis.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [program, *self._arguments()], stdout=output, stderr=subprocess.STDOUT, cwd=self._folder
            )
        until = time.monotonic() + _START_S
        while not self._answers():
            if time.monotonic() > until or self._process.poll() is not None:
                self.kill()
                raise NotStarted(f"redis-server does not answer. The end of {log}:\n{log.read_text()[-2000:]}")
            time.sleep(0.01)

    def stop(self) -> None:
        """SIGTERM: it writes what it has to write and ends. May be called twice."""
        self._end(kill=False)

    def kill(self) -> None:
        """kill -9. What was not on disk is gone. May be called twice."""
        self._end(kill=True)

    def flush(self) -> None:
        """FLUSHALL: it forgets everything and goes on."""
        with self.client as client:
            client.flushall()

    def _arguments(self) -> list[str]:
        keeping = ["--appendonly", "yes", "--appendfsync", "always"] if self._persistent else ["--appendonly", "no"]
        return ["--bind", "127.0.0.1", "--port", str(self._port), "--save", "", *keeping]

    def _answers(self) -> bool:
        with self.client as client:
            try:
                return bool(client.ping())
            except client_library.ConnectionError:  # refused, or still reading its file
                return False

    def _end(self, *, kill: bool) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill() if kill else process.terminate()
            process.wait()


@contextmanager
def redis(folder: Path, *, persistent: bool = False) -> Iterator[RedisServer]:
    """Runs a Redis in ``folder``; see :class:`RedisServer`."""
    folder.mkdir(parents=True, exist_ok=True)
    server = RedisServer(folder, persistent=persistent)
    server.start()
    try:
        yield server
    finally:
        server.kill()
