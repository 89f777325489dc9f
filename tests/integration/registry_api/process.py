# SPDX-License-Identifier: Apache-2.0
"""A real registry process on a free loopback port, to be killed and started again on the same home."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from deploy.local.stack import free_port

ROOT = Path(__file__).resolve().parents[3]
START_SECONDS = 90.0  # imports alone take ten with a cold cache on a busy machine


class RegistryProcess:
    """``python -m registry_api serve`` in ``home``; a context manager that leaves nothing running."""

    def __init__(self, home: Path, **environment: str) -> None:
        self.home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = environment
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def admin_key(self) -> str:
        return (self.home / "admin.key").read_text().strip()

    @property
    def headers(self) -> dict[str, str]:
        return {"X-API-Key": self.admin_key}

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def log(self) -> str:
        return (self.home.parent / "registry.log").read_text()

    def start(self) -> None:
        """Starts the process and waits until it is ready; one that does not become ready is killed."""
        try:
            self._start()
        except BaseException:
            self.kill()
            raise

    def _start(self) -> None:
        own = {"FUROSHIKI_HOME": str(self.home), "FUROSHIKI_HTTP__PORT": str(self.port), **self._environment}
        clean = {name: value for name, value in os.environ.items() if not name.startswith("FUROSHIKI_")}
        with (self.home.parent / "registry.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "registry_api", "serve"], cwd=ROOT, env={**clean, **own}, stdout=log, stderr=log
            )
        end = time.monotonic() + START_SECONDS
        while time.monotonic() < end:
            assert self._process.poll() is None, self.log
            with suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/readyz", timeout=5).is_success:
                    return
            time.sleep(0.02)
        raise AssertionError(f"not ready within {START_SECONDS} s:\n{self.log}")

    def kill(self) -> None:
        """SIGKILL, at once."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Starts again on the same home after a kill."""
        self.start()

    def _end(self, number: signal.Signals) -> int | None:
        if self._process is None or self._process.poll() is not None:
            return None
        self._process.send_signal(number)
        return self._process.wait(timeout=30)

    def stop(self) -> int | None:
        """SIGTERM; the exit status."""
        return self._end(signal.SIGTERM)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _value: BaseException | None, _tb: TracebackType | None
    ) -> None:
        self.kill()
