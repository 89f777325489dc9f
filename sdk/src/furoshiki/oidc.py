# SPDX-License-Identifier: Apache-2.0
"""Logging in with an OpenID provider: code + PKCE (RFC 7636) for a program on somebody's own machine (RFC 8252).

``state`` ties the provider's answer to this attempt, ``nonce`` ties the ID token to it, and the code is worthless without
the verifier that never leaves this process. The provider is spoken to over TLS, or on this machine; redirects are not
followed. The ID token's signature is checked by the registry, which it is for.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar
from urllib.parse import urlencode

import httpx
import msgspec

from furoshiki.config import sends_key_in_clear
from furoshiki.errors import AuthError, Unavailable
from furoshiki.retry import SystemClock
from furoshiki.steps import Reply, Request, Steps
from furoshiki.transport import LOOPBACK, SyncTransport

T = TypeVar("T")

REFUSED: Final = "AUTH_002"
_AWAY: Final = "CLIENT_003"
_TIMEOUT: Final = 10.0  # seconds
_MOST_BYTES: Final = 256 * 1024
_FORM: Final = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoints:
    """Where a provider answers; from its discovery document."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    revocation_endpoint: str | None = None

    def __post_init__(self) -> None:
        for url in (self.authorization_endpoint, self.token_endpoint, self.revocation_endpoint):
            if url is not None and (not url.startswith(("https://", "http://")) or sends_key_in_clear(url)):
                raise AuthError(REFUSED, f"The provider's address {url!r} is not https; nothing was sent there.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """What a provider gave."""

    id_token: str = field(repr=False)
    refresh_token: str | None = field(default=None, repr=False)  # None: it gives none, or the old one stays


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One login; its secrets are made here and used once."""

    client_id: str
    state: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(32), repr=False)
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)

    def url(self, endpoints: Endpoints, *, redirect_uri: str, scopes: str) -> str:
        """Where the browser is sent."""
        challenge = base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).rstrip(b"=").decode()
        query = {
            "response_type": "code",
            "client_id": self.client_id,
            "redirect_uri": redirect_uri,
            "scope": scopes,
            "state": self.state,
            "nonce": self.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
            "prompt": "consent",  # without it providers give no refresh token
        }
        mark = "&" if "?" in endpoints.authorization_endpoint else "?"
        return f"{endpoints.authorization_endpoint}{mark}{urlencode(query)}"

    def code(self, answer: dict[str, str], endpoints: Endpoints) -> str:
        """The code in the provider's answer.

        Raises:
            AuthError: ``AUTH_002`` if the answer is not to this attempt, of another issuer (RFC 9207), or a refusal.
        """
        if not hmac.compare_digest(answer.get("state", "").encode(), self.state.encode()):
            raise AuthError(REFUSED, "The browser brought the answer to another login; run `furo login --oidc` again.")
        if answer.get("iss", endpoints.issuer) != endpoints.issuer:
            raise AuthError(REFUSED, "The answer comes from another provider than the one that was asked.")
        if "code" not in answer:
            raise AuthError(REFUSED, f"The provider refused the login: {_told(answer)}.")
        return answer["code"]

    def redeem(self, code: str, endpoints: Endpoints, *, redirect_uri: str) -> Grant:
        """Exchanges the code for tokens, and checks that they belong to this attempt.

        Raises:
            AuthError: ``AUTH_002`` if the provider refuses, or its ID token is of another attempt, client or issuer.
            TransientError: If it cannot be reached.
        """
        fields = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": redirect_uri,
            "client_id": self.client_id,
            "code_verifier": self.verifier,
        }
        grant = _granted(endpoints.token_endpoint, fields)
        claims = _claims(grant.id_token)
        nonce = claims.get("nonce")
        if not isinstance(nonce, str) or not hmac.compare_digest(nonce.encode(), self.nonce.encode()):
            raise AuthError(REFUSED, "The provider's ID token is of another login.")
        audience = claims.get("aud")
        if claims.get("iss") != endpoints.issuer or self.client_id not in (
            audience if isinstance(audience, list) else [audience]
        ):
            raise AuthError(REFUSED, "The provider's ID token is of another issuer or for another client.")
        return grant


def discover(issuer: str) -> Endpoints:
    """Asks a provider where it answers.

    Raises:
        AuthError: ``AUTH_002`` if an address is not https, or the document is of another issuer.
        TransientError: If it cannot be reached or has no such document.
    """
    url = issuer.rstrip("/") + "/.well-known/openid-configuration"
    if sends_key_in_clear(url):
        raise AuthError(REFUSED, f"The provider {issuer!r} is not https; nothing was sent there.")
    found = _decoded(_send(Request(method="GET", base=url, path="", limit=_MOST_BYTES)), Endpoints, url)
    if found.issuer != issuer:
        raise AuthError(REFUSED, f"The provider at {issuer!r} says that it is {found.issuer!r}.")
    return found


def refresh(token_endpoint: str, *, client_id: str, refresh_token: str) -> Grant:
    """New tokens for a refresh token.

    Raises:
        AuthError: ``AUTH_002`` if the provider refuses.
        TransientError: If it cannot be reached.
    """
    fields = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": client_id}
    return _granted(token_endpoint, fields)


def revoke(revocation_endpoint: str, *, client_id: str, refresh_token: str) -> None:
    """Ends a refresh token (RFC 7009).

    Raises:
        AuthError: ``AUTH_002`` if the provider refuses.
        TransientError: If it cannot be reached.
    """
    fields = {"token": refresh_token, "token_type_hint": "refresh_token", "client_id": client_id}
    reply = _posted(revocation_endpoint, fields)
    if reply.status != 200:
        raise AuthError(REFUSED, f"The provider did not end the login (HTTP {reply.status}).")


def _granted(url: str, fields: dict[str, str]) -> Grant:
    reply = _posted(url, fields)
    if 400 <= reply.status < 500:
        try:
            told = _told(msgspec.json.decode(reply.body, type=dict[str, Any]))
        except (msgspec.DecodeError, UnicodeDecodeError):
            told = f"HTTP {reply.status}"
        raise AuthError(REFUSED, f"The provider refused: {told}. Run `furo login --oidc` again.", status=reply.status)
    return _decoded(reply, Grant, url)


def _posted(url: str, fields: dict[str, str]) -> Reply:
    body = urlencode(fields).encode()
    return _send(Request(method="POST", base=url, path="", headers=_FORM, body=body, limit=_MOST_BYTES))


def _send(request: Request) -> Reply:
    """Sends a request as it is, without the registry's credential."""

    def steps() -> Steps[Reply]:
        reply: Reply = yield request
        return reply

    transport = SyncTransport(httpx.Client(timeout=_TIMEOUT, mounts=dict.fromkeys(LOOPBACK)), SystemClock())
    try:
        return transport.run(steps())
    finally:
        transport.close()


def _decoded(reply: Reply, kind: type[T], url: str) -> T:
    try:
        if reply.status == 200:
            return msgspec.json.decode(reply.body, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    raise Unavailable(_AWAY, f"{url} answered HTTP {reply.status} with something unexpected.", status=reply.status)


def _claims(token: str) -> dict[str, Any]:
    try:
        body = token.split(".")[1]
        return msgspec.json.decode(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), type=dict[str, Any])
    except (IndexError, ValueError):
        raise AuthError(REFUSED, "The provider's ID token cannot be read.") from None


def _told(answer: dict[str, Any]) -> str:
    said = [str(answer[name]) for name in ("error", "error_description") if answer.get(name)]
    return "".join(c if c.isprintable() else " " for c in ": ".join(said))[:300] or "without a reason"
