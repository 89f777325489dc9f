# SPDX-License-Identifier: Apache-2.0
"""Registry, worker and inference service as child processes on loopback.

Each child gets its own session, so that a Ctrl-C reaches only this process, which then ends them in order by pid. Their
output goes to ``<home>/logs``.
"""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import httpx
import psutil

ROOT: Final = Path(__file__).resolve().parents[2]
_PORTS: Final = range(20_000, 32_000)  # below those that Linux gives to outgoing connections
_START_S: Final = 60.0
_STOP_S: Final = 20.0


class NotStarted(Exception):
    """A process did not become ready; the message holds the end of its log."""


def free_port() -> int:
    """A loopback port nobody listens on at the moment, and that no outgoing connection takes while its server is down."""
    while True:
        port = random.SystemRandom().choice(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class LocalStack:
    """The processes of one home directory.

    Args:
        home: State: database, blobs, keys, builds, deployments, logs.
        registry_port: Loopback port of the registry.
        inference_port: Loopback port of the inference service; None starts none.
        settings: More settings of all processes, as environment variables.
        inference_settings: More settings of the inference service, as environment variables.
    """

    def __init__(
        self,
        home: Path,
        *,
        registry_port: int,
        inference_port: int | None = None,
        settings: Mapping[str, str] | None = None,
        inference_settings: Mapping[str, str] | None = None,
    ) -> None:
        self.home = home.resolve()
        self.registry_url = f"http://127.0.0.1:{registry_port}"
        self.inference_url = None if inference_port is None else f"http://127.0.0.1:{inference_port}"
        self._registry_port = registry_port
        self._inference_port = inference_port
        self._settings = dict(settings or {})
        self._own_settings = dict(inference_settings or {})
        self._children: list[tuple[str, subprocess.Popen[bytes]]] = []

    @property
    def admin_key(self) -> str:
        """The key the registry wrote at its first start."""
        return (self.home / "admin.key").read_text().strip()

    def bento(self, tag: str) -> Path:
        """Where the BentoML store of this home keeps a Bento."""
        name, _, version = tag.partition(":")
        return self.home / "bentoml" / "bentos" / name / version

    def log(self, name: str) -> Path:
        """Where a child's output goes."""
        return self.home / "logs" / f"{name}.log"

    def pid(self, name: str) -> int:
        """The process id of a running child: ``registry``, ``worker`` or ``inference``."""
        return next(process.pid for child, process in self._children if child == name)

    def start(self, tell: Callable[[str], None]) -> None:
        """Starts everything and returns when it answers.

        Args:
            tell: Told each step in a few words.

        Raises:
            NotStarted: If a process is not ready within a minute. What was started is left for ``stop``.
        """
        (self.home / "logs").mkdir(parents=True, exist_ok=True)
        tell("starting the registry")
        self._spawn("registry", [sys.executable, "-m", "registry_api", "serve"], {})
        self._wait("registry", f"{self.registry_url}/readyz")
        tell("starting the worker")
        self._spawn("worker", [sys.executable, "-m", "registry_api", "worker"], {})
        if self._inference_port is not None:
            tell("starting the inference service")
            self._spawn("inference", self._inference_command(), self._inference_settings())
            self._wait("inference", f"{self.inference_url}/v2/health/ready")

    def stop(self) -> None:
        """Ends what was started, last first."""
        while self._children:
            _, process = self._children.pop()
            _end(process)

    def failed(self) -> str | None:
        """The name of a child that has ended by itself, if there is one."""
        return next((name for name, process in self._children if process.poll() is not None), None)

    def _inference_command(self) -> list[str]:
        service = "services.inference.service:Inference"
        return [sys.executable, "-m", "bentoml", "serve", service, "--port", str(self._inference_port)]

    def _inference_settings(self) -> dict[str, str]:
        return {
            "FUROSHIKI_SOURCE": "registry",
            "FUROSHIKI_REGISTRY__URL": self.registry_url,
            "FUROSHIKI_REGISTRY__API_KEY_FILE": str(self.home / "service.key"),
            "FUROSHIKI_TRUST__DIR": str(self.home / "keys" / "trust"),
            **self._own_settings,
        }

    def _spawn(self, name: str, command: Sequence[str], extra: Mapping[str, str]) -> None:
        environment = {
            **os.environ,
            "BENTOML_DO_NOT_TRACK": "True",
            "BENTOML_HOME": str(self.home / "bentoml"),
            "FUROSHIKI_HOME": str(self.home),
            "FUROSHIKI_HTTP__PORT": str(self._registry_port),
            **self._settings,
            **extra,
        }
        with self.log(name).open("ab") as output:
            process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._children.append((name, process))

    def _wait(self, name: str, url: str) -> None:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self.failed() is None:
            try:
                if httpx.get(url).status_code == httpx.codes.OK:
                    return
            except httpx.TransportError:
                pass
            time.sleep(0.1)
        raise NotStarted(f"The {name} is not ready. The end of {self.log(name)}:\n{self.log(name).read_text()[-2000:]}")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is not None:
        return
    os.kill(process.pid, signal.SIGTERM)
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        parent = psutil.Process(process.pid)  # its children have sessions of their own
        for member in (*parent.children(recursive=True), parent):
            member.kill()
        process.wait()
