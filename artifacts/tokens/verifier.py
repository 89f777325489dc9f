# SPDX-License-Identifier: Apache-2.0
"""Checks signed tokens (JWT, RFC 7519; checked as RFC 8725 advises).

A token is believed if one of the issuers the operator named signed it, for one of our audiences, and it is in force. The
issuer is found by the token's ``iss``, the key by its ``kid`` among that issuer's keys only, and everything else has to fit
that issuer. A token that is encrypted, of another type (``typ``), or that demands an extension (``crit``) is refused, and
one too long to be one is not read. Why a token was refused is in the log; its sender learns it only when its signature was
good. What the claims say beyond that (tenant, roles, scopes) is for the caller to judge.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, NoReturn, TypeVar

import msgspec

from artifacts.tokens.jwk import Algorithm, unpadded
from artifacts.tokens.keyset import KeySet
from core.clock import Clock
from core.errors import AuthError, ErrorCode
from core.telemetry.logs import get_logger

MOST_TOKEN_BYTES: Final = 8192
_TYPES: Final = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
_LAST: Final = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
_MOST_LOGGED: Final = 64  # characters of a subject

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenIssuer:
    """Who may sign tokens, and what its tokens must look like."""

    name: str  # the operator's word for it
    issuer: str  # ``iss``
    audiences: frozenset[str]  # one of them must be in ``aud``
    keys: KeySet
    algorithms: frozenset[Algorithm]
    leeway_s: float  # by which clocks may differ


IssuerT = TypeVar("IssuerT", bound=TokenIssuer)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified(Generic[IssuerT]):
    """A token that is believed: who issued it, what it says, and until when it counts (leeway included)."""

    issuer: IssuerT
    claims: Mapping[str, Any]
    ends: datetime


class _Header(msgspec.Struct):
    alg: str
    kid: str | None = None
    typ: str = "JWT"
    crit: msgspec.Raw | None = None


class TokenVerifier(Generic[IssuerT]):
    """Checks tokens of some issuers.

    Args:
        issuers: Whose tokens are believed; each ``iss`` once.
        clock: For when a token is in force.
    """

    def __init__(self, issuers: Sequence[IssuerT], *, clock: Clock) -> None:
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        self._clock = clock

    async def verify(self, token: str) -> Verified[IssuerT]:
        """What a token says, once all of it is believed.

        Raises:
            AuthError: ``AUTH_002`` if it is not.
            Unavailable: ``STORE_001`` if the issuer's keys cannot be had now.
        """
        header, claims, message, signature = _parsed(token)
        issuer = self._issuers.get(text_of(claims, "iss") or "")
        if issuer is None:
            refuse("unknown issuer")
        if header.alg not in issuer.algorithms:
            refuse("algorithm not allowed", issuer)
        key = await issuer.keys.find(header.kid, header.alg)
        if key is None:
            refuse("unknown key", issuer)
        if not key.verify(message, signature):
            refuse("wrong signature", issuer)
        return Verified(issuer=issuer, claims=claims, ends=self._in_force(claims, issuer))

    def _in_force(self, claims: Mapping[str, Any], issuer: TokenIssuer) -> datetime:
        """Until when; a token without an end is refused."""
        now = self._clock.now().timestamp()
        ends = _number(claims, "exp")
        if ends is None:
            refuse("no 'exp'", issuer, tell="The token has no 'exp'.")
        if ends + issuer.leeway_s <= now:
            refuse("expired", issuer, tell="The token has expired; get a new one.")
        for claim in ("nbf", "iat"):
            begins = _number(claims, claim)
            if begins is not None and begins - issuer.leeway_s > now:
                refuse("not yet in force", issuer, tell="The token is not in force yet.")
        audience = claims.get("aud")
        named = [audience] if isinstance(audience, str) else audience if isinstance(audience, list) else []
        if not any(isinstance(one, str) and one in issuer.audiences for one in named):
            refuse("for another audience", issuer, tell="The token is for another audience.")
        return datetime.fromtimestamp(min(ends + issuer.leeway_s, _LAST), UTC)


def looks_like_token(credential: str) -> bool:
    """Whether it has the shape of a token: only a token has two dots."""
    return credential.count(".") == 2


def text_of(claims: Mapping[str, Any], name: str) -> str | None:
    """A claim that is a string; None if it is missing or something else."""
    value = claims.get(name)
    return value if isinstance(value, str) else None


def texts_of(claims: Mapping[str, Any], name: str) -> list[str]:
    """The strings of a claim that is a list, or one string with spaces in between; empty if it is neither."""
    value = claims.get(name)
    if isinstance(value, str):
        return value.split(" ")
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def shown_subject(claims: Mapping[str, Any]) -> str:
    """The subject, as far as it can do no harm in a log."""
    subject = text_of(claims, "sub") or ""
    return "".join(c if c.isascii() and (c.isalnum() or c in "-_.:@|") else "_" for c in subject[:_MOST_LOGGED])


def refuse(reason: str, issuer: TokenIssuer | None = None, *, tell: str | None = None) -> NoReturn:
    """Logs why a token is refused, and refuses it.

    Args:
        reason: For the log.
        issuer: Whose token it is; None: not known.
        tell: For the sender; None: only that it is not valid. To be given only if the signature was good.

    Raises:
        AuthError: ``AUTH_002``, always.
    """
    log.info("token_refused", reason=reason, issuer=None if issuer is None else issuer.name)
    raise AuthError(ErrorCode.AUTH_INVALID, tell or "The credential is not valid.")


def _parsed(token: str) -> tuple[_Header, dict[str, Any], bytes, bytes]:
    """Header, claims, what is signed, and the signature; nothing of it is believed yet."""
    if len(token) > MOST_TOKEN_BYTES:
        refuse("too long")
    try:
        message, _, signature = token.encode("ascii").rpartition(b".")
        head, _, body = message.partition(b".")
        header = msgspec.json.decode(unpadded(head), type=_Header)
        claims = msgspec.json.decode(unpadded(body), type=dict[str, Any])
        parts = header, claims, message, unpadded(signature)
    except (ValueError, RecursionError):  # ValueError: wrong base64url, JSON, UTF-8 or ASCII
        refuse("malformed")
    if header.crit is not None or header.typ.lower() not in _TYPES:
        refuse("of another type")
    return parts


def _number(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        refuse(f"{name!r} is not a time")
    return float(min(max(value, -_LAST), _LAST))
