# SPDX-License-Identifier: Apache-2.0
"""A real Redis on a free port, to be killed and started again."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from core.clock import SystemClock
from deploy.local.stack import free_port


class RedisServer:
    """One ``redis-server`` that keeps nothing on disk."""

    def __init__(self, folder: Path) -> None:
        self._program = shutil.which("redis-server")
        assert self._program, "redis-server is not installed; run deploy/local/apt.sh redis-server"
        self._folder = folder
        self._port = free_port()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"redis://127.0.0.1:{self._port}/0"

    @property
    def client(self) -> redis.Redis:
        """A client of its own, to look inside."""
        return redis.Redis.from_url(self.url, decode_responses=True)

    def start(self) -> None:
        """Starts it empty, and waits until it answers."""
        assert self._program is not None
        arguments = ["--bind", "127.0.0.1", "--port", str(self._port), "--save", "", "--appendonly", "no"]
        with (self._folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._program, *arguments], stdout=log, stderr=subprocess.STDOUT, cwd=self._folder
            )
        until = SystemClock().monotonic() + 10
        while True:
            try:
                self.client.ping()
            except redis.ConnectionError:
                assert SystemClock().monotonic() < until, (self._folder / "redis.log").read_text()
                time.sleep(0.02)
            else:
                return

    def kill(self) -> None:
        """kill -9; what it held is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One for a module; each test starts it again if it killed it."""
    made = RedisServer(tmp_path_factory.mktemp("redis"))
    made.start()
    try:
        yield made
    finally:
        made.kill()


@pytest.fixture
def redis_server(server: RedisServer) -> RedisServer:
    """Running and empty."""
    try:
        server.client.flushall()
    except redis.ConnectionError:
        server.start()
    return server
