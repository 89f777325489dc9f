# SPDX-License-Identifier: Apache-2.0
"""An issuer's key set, found through its discovery document (OpenID Connect Discovery 1.0, section 4).

The document is fetched from the address the operator set and must name exactly the issuer the operator set. The key set it
points to is fetched from the same origin only: a document that was tampered with cannot make this process call another
machine. For an issuer that keeps its keys elsewhere the operator names the key set instead.
"""

from __future__ import annotations

from typing import Final

import httpx
import msgspec

from artifacts.tokens.keysource import UrlSource, allowed, unavailable

WELL_KNOWN: Final = "/.well-known/openid-configuration"


class _Document(msgspec.Struct):
    issuer: str
    jwks_uri: str


class DiscoveredSource:
    """Implements :class:`artifacts.tokens.keysource.KeySource`.

    Args:
        issuer: What the document must say it is, to the letter.
        url: Of the document; passed :func:`artifacts.tokens.keysource.allowed`.
        timeout_s: Within which each of the two documents has to be there.
    """

    def __init__(self, *, issuer: str, url: str, timeout_s: float) -> None:
        self._issuer = issuer
        self._origin = origin(url)
        self._document = UrlSource(url, timeout_s=timeout_s)
        self._timeout_s = timeout_s

    async def read(self) -> bytes:
        try:
            found = msgspec.json.decode(await self._document.read(), type=_Document)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise unavailable(f"not a discovery document: {error}") from None
        if found.issuer != self._issuer:
            raise unavailable(f"the discovery document is of issuer {found.issuer[:200]!r}; expected {self._issuer!r}")
        if not allowed(found.jwks_uri) or origin(found.jwks_uri) != self._origin:
            raise unavailable(f"the discovery document points elsewhere: {found.jwks_uri[:200]!r}")
        return await UrlSource(found.jwks_uri, timeout_s=self._timeout_s).read()


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port of a URL; equal for URLs of one origin.

    Raises:
        httpx.InvalidURL: If it is none.
    """
    parsed = httpx.URL(url)
    return parsed.scheme, parsed.host, parsed.port
