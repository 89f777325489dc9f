# SPDX-License-Identifier: Apache-2.0
"""How a registry may be reached: TLS, credentials, patience.

TLS unless the operator asks for plain HTTP or the registry is on this machine. A way that began with TLS never goes on
without it. No credential is looked for anywhere but here: nothing of the machine or of other tools is borrowed. Only the
command line is given what docker and podman keep (:mod:`artifacts.oci.credentials`).
"""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TypeAlias

import httpx

from artifacts.oci.patience import Patience
from core.errors import ErrorCode, InitError

Origin: TypeAlias = tuple[str, str, int]  # scheme, host, port


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Of a user or a robot; sent as HTTP Basic to the registry, or to the token server that the registry names."""

    username: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Access:
    """How to reach one registry."""

    credentials: Credentials | None = None  # None: anonymous
    ca_file: Path | None = None  # PEM; trusted instead of the system's authorities
    plain_http: bool = False  # allowed beyond this machine
    patience: Patience = field(default_factory=Patience)
    connect_s: float = 10.0  # to connect
    silence_s: float = 60.0  # without a byte in either direction
    answer_s: float = 120.0  # for a whole answer, blobs excepted


def base_url(host: str, access: Access) -> httpx.URL:
    """Where the registry's API is.

    A registry on this machine is asked over plain HTTP unless a CA file says that it speaks TLS. ``docker.io`` is a name
    whose API is elsewhere.
    """
    if host == "docker.io":
        host = "registry-1.docker.io"
    name = httpx.URL(f"//{host}").host
    plain = access.plain_http or (is_loopback(name) and access.ca_file is None)
    return httpx.URL(f"{'http' if plain else 'https'}://{host}")


def origin(url: httpx.URL) -> Origin:
    """Whom a request to ``url`` reaches."""
    return url.scheme, url.host, url.port or (443 if url.scheme == "https" else 80)


def is_loopback(host: str) -> bool:
    """Whether ``host`` is this machine."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def tls_context(ca_file: Path | None) -> ssl.SSLContext:
    """Which certificates are trusted: those of the file as it is now, or the system's.

    Raises:
        InitError: ``INIT_002`` if the file cannot be read or holds no certificate.
    """
    if ca_file is None:
        return _system()
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise InitError(
            ErrorCode.SETTING_INVALID,
            "The CA file of the image registry cannot be read; expected a PEM file with at least one certificate.",
            log_context={"path": str(ca_file), "cause": repr(error)},
        ) from None


@cache
def _system() -> ssl.SSLContext:
    """Reading these takes a tenth of a second, so it is done once."""
    return httpx.create_ssl_context()
