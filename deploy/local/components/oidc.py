# SPDX-License-Identifier: Apache-2.0
"""A real OpenID provider (npm ``oidc-provider``) on a loopback port.

What it is made of is locked in ``oidc_provider/package-lock.json`` and installed by ``npm ci`` without install scripts, once
per lock, into ``~/.cache/furoshiki``. Needs node 20 and npm.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from deploy.local.components.npm import found, installed
from deploy.local.stack import free_port

SOURCES: Final = Path(__file__).resolve().parent / "oidc_provider"
CLIENT: Final = "furo"  # public: code + PKCE, any port of 127.0.0.1, path /callback
SERVICE: Final = ("svc", "svc-secret-svc-secret-svc-secret-00")  # client credentials
AUDIENCE: Final = "urn:furoshiki"  # of access tokens; that of ID tokens is the client
SCOPES: Final = "openid offline_access groups"
USERS: Final[Mapping[str, Mapping[str, Any]]] = {
    "alice": {"groups": ["admins"], "tenant": "default"},
    "bob": {"groups": ["viewers"], "tenant": "default"},
    "carol": {"groups": ["admins"], "tenant": "acme"},
    "mallory": {"groups": ["nobody-knows"], "tenant": "default"},
    "svc": {"groups": ["viewers"], "tenant": "default"},
}
_START_SECONDS: Final = 20.0
_FILES: Final = ("package.json", "package-lock.json", "provider.mjs")


@dataclass(frozen=True, slots=True, kw_only=True)
class Provider:
    """A provider that runs."""

    issuer: str

    def rotate_keys(self, *, drop_old: bool = False) -> None:
        """Makes a new key that signs from now on; ``drop_old`` takes the others out of the key set."""
        httpx.post(f"{self.issuer}/keys/rotate{'?drop' if drop_old else ''}", trust_env=False).raise_for_status()

    def service_token(self) -> str:
        """An access token of the service client, for :data:`AUDIENCE`."""
        response = httpx.post(
            f"{self.issuer}/token", auth=SERVICE, data={"grant_type": "client_credentials"}, trust_env=False
        )
        return str(response.raise_for_status().json()["access_token"])


@contextmanager
def oidc(folder: Path, users: Mapping[str, Mapping[str, Any]] = USERS) -> Iterator[Provider]:
    """Runs a provider while the context is open.

    Args:
        folder: For its configuration and its log; must exist.
        users: Claims by login. Any password opens any of them.

    Raises:
        RuntimeError: If it cannot be installed or does not start.
    """
    program = installed(SOURCES, name="oidc-provider", files=_FILES)
    port = free_port()
    configuration = folder / "oidc-provider.json"
    configuration.write_text(json.dumps({"port": port, "users": dict(users), "audience": AUDIENCE}))
    with (folder / "oidc-provider.log").open("wb") as log:
        process = subprocess.Popen(
            [found("node"), "provider.mjs", str(configuration)], cwd=program, stdout=log, stderr=log
        )
    try:
        provider = Provider(issuer=f"http://127.0.0.1:{port}")
        _wait(provider, process, folder / "oidc-provider.log")
        yield provider
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait(provider: Provider, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        try:
            if httpx.get(f"{provider.issuer}/.well-known/openid-configuration", trust_env=False).is_success:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise RuntimeError(f"the OpenID provider did not start:\n{log.read_text()}")
