# SPDX-License-Identifier: Apache-2.0
"""Where webhooks may be sent: public addresses only, so that nobody makes the registry call services it can reach and
they cannot (server-side request forgery).

Rules. A name is resolved once, every address it has must be public, and the connection is made to one of those very
addresses: a name that answers differently a moment later (DNS rebinding) gains nothing. A URL that the sender would read
differently, or not at all, is refused. Checked when a webhook is made and again at every attempt. Addresses that carry
another address inside (mapped, 6to4, Teredo, NAT64) are never public.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Final, TypeAlias
from urllib.parse import urlsplit

import httpx

Address: TypeAlias = IPv4Address | IPv6Address
Resolver: TypeAlias = Callable[[str, int], Awaitable[Sequence[Address]]]

_RESOLVE_SECONDS: Final = 5.0
_RESOLVING: Final = ThreadPoolExecutor(8, thread_name_prefix="resolve")
"""Threads of their own: a name server that keeps silent holds one for long, and everything else goes on."""
_PORTS: Final = {"https": 443, "http": 80}
_NEVER: Final = tuple(
    ip_network(block)
    for block in (
        "192.0.0.0/24",  # IETF protocol assignments
        "192.88.99.0/24",  # relays of 6to4
        "::/96",  # IPv4-compatible
        "64:ff9b::/96",  # NAT64
        "64:ff9b:1::/48",  # local NAT64
        "2001::/32",  # Teredo
        "2002::/16",  # 6to4
        "fec0::/10",  # site-local
    )
)


class Refused(Exception):
    """A URL that nothing is sent to; the text says why and may be shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AddressPolicy:
    """What beside https to a public address is allowed."""

    http: bool = False  # without TLS too
    ports: frozenset[int] = frozenset({443, 8443})  # empty: any
    loopback: bool = False  # this machine too


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A URL that was checked, and where its name led."""

    url: str
    host: str  # as in the URL, for TLS and the Host header
    port: int
    addresses: tuple[Address, ...]  # at least one, all of them allowed


def is_public(address: Address) -> bool:
    """Whether an address belongs to somebody on the internet."""
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return False
    odd = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_link_local
    return address.is_global and not odd and not any(address in block for block in _NEVER)


def _is_allowed(address: Address, policy: AddressPolicy) -> bool:
    return is_public(address) or (policy.loopback and address.is_loopback)


async def system_resolver(host: str, port: int) -> Sequence[Address]:
    """Every address the system's resolver has for a name.

    Raises:
        OSError: If it has none.
    """
    ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
    found = await asyncio.get_running_loop().run_in_executor(_RESOLVING, ask)
    return [ip_address(entry[4][0]) for entry in found]


async def check_url(url: str, policy: AddressPolicy, resolve: Resolver = system_resolver) -> Target:
    """Checks a URL and resolves its name.

    Raises:
        Refused: If nothing may be sent to it.
    """
    host, port = _parts(url, policy)
    try:
        async with asyncio.timeout(_RESOLVE_SECONDS):
            addresses = tuple(dict.fromkeys(await resolve(host, port)))
    except (OSError, UnicodeError):  # TimeoutError is an OSError
        raise Refused(f"The host {host!r} cannot be resolved.") from None
    if not addresses:
        raise Refused(f"The host {host!r} has no address.")
    if not all(_is_allowed(address, policy) for address in addresses):
        raise Refused(f"The host {host!r} has an address that is not public.")
    return Target(url=url, host=host, port=port, addresses=addresses)


def _parts(url: str, policy: AddressPolicy) -> tuple[str, int]:
    try:
        parts, asked = urlsplit(url), httpx.URL(url)
        port = parts.port or _PORTS.get(parts.scheme, 0)
    except (ValueError, httpx.InvalidURL):
        raise Refused("The URL cannot be parsed.") from None
    schemes = ("https", "http") if policy.http else ("https",)
    if parts.scheme not in schemes:
        raise Refused(f"The URL's scheme is {parts.scheme[:20]!r}; expected {' or '.join(schemes)}.")
    if not parts.hostname:
        raise Refused("The URL names no host.")
    if (asked.raw_host.decode("ascii"), asked.port or _PORTS.get(parts.scheme)) != (parts.hostname, port):
        raise Refused("The URL can be read in more than one way.")
    if parts.username is not None or parts.password is not None:
        raise Refused("The URL holds a credential; receivers check the signature instead.")
    if policy.ports and port not in policy.ports:
        raise Refused(f"The URL's port is {port}; expected one of {', '.join(map(str, sorted(policy.ports)))}.")
    return parts.hostname, port
