# SPDX-License-Identifier: Apache-2.0
"""A real ``docker-registry`` (Debian's 2.8: the distribution API without referrers) on a free loopback port.

Needs the Debian package ``docker-registry``. It keeps what it stores in its folder, so it may be killed and started again.
Manifests and blobs can be deleted. Without a login, with HTTP Basic, or with tokens of
:mod:`deploy.local.components.token_server`; over plain HTTP, or over TLS with a certificate that only ``ca_file`` knows.
"""

from __future__ import annotations

import json
import os
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from deploy.local.components.certificates import write_certificate
from deploy.local.components.token_server import ISSUER, SERVICE, TokenServer
from deploy.local.stack import NotStarted, free_port

USER: Final = "furoshiki-local"
PASSWORD: Final = "local-password"  # noqa: S105 - of a registry on loopback
_BCRYPT: Final = "$2b$04$F3TEU0KgfqeZcxcRMmiblO.oU5R7b1/iPyA2j26YMSbyA6wfEU5Rm"  # of PASSWORD: the only hash it takes
_START_S: Final = 10.0


class DockerRegistry:
    """One registry, at ``host``.

    Args:
        folder: For its data, configuration and log.
        basic: Whether it asks for :data:`USER` and :data:`PASSWORD`.
        tokens: Whose tokens it asks for; None: nobody's.
        tls: Whether it speaks TLS.
    """

    def __init__(
        self, folder: Path, *, basic: bool = False, tokens: TokenServer | None = None, tls: bool = False
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        self.host = f"127.0.0.1:{port}"
        self.ca_file = folder / "ca.pem" if tls else None
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        if self.ca_file is not None:
            write_certificate(self.ca_file, folder / "tls.key")
        (folder / "htpasswd").write_text(f"{USER}:{_BCRYPT}\n")
        (folder / "registry.json").write_text(json.dumps(self._configuration(basic=basic, tokens=tokens)))

    def start(self) -> None:
        """Starts it and waits until it answers; nothing if it runs.

        Raises:
            NotStarted: If it is not installed, or does not answer in time.
        """
        if self._process is not None:
            return
        program = shutil.which("docker-registry")
        if program is None:
            raise NotStarted("docker-registry is not installed; run deploy/local/apt.sh docker-registry")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("REGISTRY_", "OTEL_"))}
        log = self._folder / "registry.log"
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [program, "serve", self._folder / "registry.json"], env=clean, stdout=output, stderr=output
            )
        until = time.monotonic() + _START_S
        while not self._answers():
            if time.monotonic() > until or self._process.poll() is not None:
                self.kill()
                raise NotStarted(f"docker-registry does not answer. The end of {log}:\n{log.read_text()[-2000:]}")
            time.sleep(0.02)

    def kill(self) -> None:
        """kill -9. May be called twice."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait()

    def damage(self, digest: str) -> None:
        """Flips a bit in the middle of a stored blob, as a bad disk does."""
        path = self._folder / "data/docker/registry/v2/blobs/sha256" / digest[7:9] / digest[7:] / "data"
        data = bytearray(path.read_bytes())
        data[len(data) // 2] ^= 1
        path.write_bytes(data)

    def _configuration(self, *, basic: bool, tokens: TokenServer | None) -> Mapping[str, Any]:
        tls = {"tls": {"certificate": str(self.ca_file), "key": str(self._folder / "tls.key")}} if self.ca_file else {}
        login: dict[str, Any] = {}
        if basic:
            login = {"htpasswd": {"realm": "furoshiki", "path": str(self._folder / "htpasswd")}}
        if tokens is not None:
            signed = {"issuer": ISSUER, "service": SERVICE, "rootcertbundle": str(tokens.certificate)}
            login = {"token": {"realm": tokens.realm, **signed}}
        storage = {"filesystem": {"rootdirectory": str(self._folder / "data")}, "delete": {"enabled": True}}
        return {
            "version": "0.1",
            "log": {"level": "warn"},
            "storage": storage,
            "http": {"addr": self.host, **tls},
            **({"auth": login} if login else {}),
        }

    def _answers(self) -> bool:
        scheme = "http" if self.ca_file is None else "https"
        trusted = ssl.create_default_context(cafile=self.ca_file)
        try:
            status = httpx.get(f"{scheme}://{self.host}/v2/", verify=trusted, trust_env=False).status_code
        except httpx.TransportError:
            return False
        return status in {200, 401}


@contextmanager
def docker_registry(
    folder: Path, *, basic: bool = False, tokens: TokenServer | None = None, tls: bool = False
) -> Iterator[DockerRegistry]:
    """Runs a registry in ``folder``; see :class:`DockerRegistry`."""
    server = DockerRegistry(folder, basic=basic, tokens=tokens, tls=tls)
    server.start()
    try:
        yield server
    finally:
        server.kill()
