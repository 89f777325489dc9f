# SPDX-License-Identifier: Apache-2.0
"""Where an issuer's key set comes from: a file, or one URL.

A URL is asked over TLS (plain HTTP only on this machine), at exactly the address the operator set: redirects are not
followed, and what a token says about where its keys are (``jku``, ``x5u``) is never read.
"""

from __future__ import annotations

import asyncio
import ipaddress
import ssl
from functools import cache
from pathlib import Path
from typing import Final, Protocol

import httpx

from core.errors import ErrorCode, Unavailable

MOST_BYTES: Final = 256 * 1024
_RETRY_S: Final = 1.0


class KeySource(Protocol):
    """Gives the document."""

    async def read(self) -> bytes:
        """The key set as it is now, at most 256 KiB.

        Raises:
            Unavailable: ``STORE_001`` if it cannot be had.
        """
        ...


class FileSource:
    """A key set in a file; a new one is put in its place by renaming."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> bytes:
        try:
            return await asyncio.to_thread(self._read)
        except OSError as error:
            raise unavailable(repr(error)) from None

    def _read(self) -> bytes:
        with self._path.open("rb") as file:
            return file.read(MOST_BYTES)


class UrlSource:
    """A key set behind a URL.

    Args:
        url: Passed :func:`allowed`.
        timeout_s: Within which the whole document has to be there.
    """

    def __init__(self, url: str, *, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s

    async def read(self) -> bytes:
        document = bytearray()
        context = await asyncio.to_thread(_context)
        try:
            async with (
                asyncio.timeout(self._timeout_s),
                httpx.AsyncClient(verify=context, follow_redirects=False, timeout=self._timeout_s) as client,
                client.stream("GET", self._url, headers={"accept": "application/json"}) as response,
            ):
                if response.status_code != 200:
                    raise unavailable(f"HTTP {response.status_code}")
                async for chunk in response.aiter_bytes():
                    document += chunk
                    if len(document) > MOST_BYTES:
                        raise unavailable(f"more than {MOST_BYTES} bytes")
        except (httpx.HTTPError, OSError) as error:
            raise unavailable(repr(error)) from None
        return bytes(document)


@cache
def _context() -> ssl.SSLContext:
    """Which certificates are trusted; reading them takes a tenth of a second, so it is done once."""
    return httpx.create_ssl_context()


def allowed(url: str) -> bool:
    """Whether keys may be fetched from there: over TLS, or from this machine."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        return False
    return bool(parsed.host) and (parsed.scheme == "https" or (parsed.scheme == "http" and _loopback(parsed.host)))


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def unavailable(cause: str) -> Unavailable:
    """The error for keys that cannot be had now."""
    return Unavailable(
        ErrorCode.STORE_UNAVAILABLE,
        "The keys of the token's issuer cannot be had now.",
        log_context={"cause": cause},
        retry_after=_RETRY_S,
    )
