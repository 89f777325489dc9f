# SPDX-License-Identifier: Apache-2.0
"""The registry's processes, started dozens of times: forked from one that has imported everything, killed by their own id.

They are real processes that run the real command with nothing inherited but modules; only the four seconds that Python takes
to import them are saved.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path

import httpx

from deploy.local.stack import free_port

READY_S = 60.0


def _context() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["registry_api.__main__", "registry_api.server", "registry_api.worker"])
    return context


def _run(command: str, environment: Mapping[str, str], log: str) -> None:
    """In the child: becomes ``python -m registry_api <command>``."""
    for name in [name for name in os.environ if name.startswith("FUROSHIKI_")]:
        del os.environ[name]
    os.environ.update(environment)
    with Path(log).open("ab", buffering=0) as output:
        for stream in (1, 2):
            os.dup2(output.fileno(), stream)
    os.setsid()
    from registry_api.__main__ import main

    sys.argv = ["registry_api", command]
    main()


class ForkedProcess:
    """``python -m registry_api <command>`` in a home directory; starts, is killed, and starts again.

    Args:
        command: ``serve`` or ``worker``.
        home: State of the registry.
        settings: As environment variables.
    """

    def __init__(self, command: str, home: Path, settings: Mapping[str, str]) -> None:
        self._command = command
        self._environment = {"FUROSHIKI_HOME": str(home), **settings}
        self._log = home.parent / f"{command}.log"
        self._process: ForkServerProcess | None = None

    @property
    def log(self) -> str:
        return self._log.read_text()

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.is_alive()

    def start(self) -> None:
        """Forks it; does not wait until it is ready."""
        arguments = (self._command, self._environment, str(self._log))
        self._process = _context().Process(target=_run, args=arguments)
        self._process.start()

    def kill(self) -> None:
        """SIGKILL, at once; nothing if it is not running."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM; nothing if it is not running."""
        self._end(signal.SIGTERM)

    def close(self) -> None:
        """Leaves nothing running."""
        self.kill()

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None and process.pid is not None and process.is_alive():
            os.kill(process.pid, number)
            process.join(30)


class ForkedRegistry(ForkedProcess):
    """The HTTP process."""

    def __init__(self, home: Path, settings: Mapping[str, str]) -> None:
        self.port = free_port()
        self.home = home
        self.url = f"http://127.0.0.1:{self.port}"
        super().__init__("serve", home, {"FUROSHIKI_HTTP__PORT": str(self.port), **settings})

    @property
    def admin_key(self) -> str:
        return (self.home / "admin.key").read_text().strip()

    def start(self) -> None:
        """Starts it and waits until it is ready."""
        super().start()
        eventually(self._ready, lambda: f"the registry is not ready:\n{self.log[-4000:]}")

    def _ready(self) -> bool:
        assert self.running, self.log[-4000:]
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).is_success
        except httpx.TransportError:
            return False


def eventually(true: Callable[[], bool], otherwise: Callable[[], str], *, within_s: float = READY_S) -> None:
    """Waits for something another process brings about."""
    until = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < until, otherwise()
        time.sleep(0.02)
