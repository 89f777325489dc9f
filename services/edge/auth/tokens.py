# SPDX-License-Identifier: Apache-2.0
"""Signed tokens (JWT, RFC 7519; checked as RFC 8725 advises).

A token is believed if one of the issuers the operator named signed it, for this audience, and it is in force. The issuer is
found by the token's ``iss`` and the key by its ``kid``, and from then on everything has to fit that issuer: its algorithms,
its keys, its audience, the tenants it may speak for. A token that is encrypted, of another type (``typ``), or that demands
an extension (``crit``) is refused. Why a token was refused is in the log; its sender learns it only when its signature was
good.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, NoReturn

import msgspec

from core.clock import Clock
from core.errors import AuthError, ErrorCode, InvalidRequest
from core.refs import parse_name
from core.telemetry.logs import get_logger
from services.edge.auth.interface import SCOPES, Identified, invalid
from services.edge.auth.jwk import Algorithm, unpadded
from services.edge.auth.keyset import KeySet
from services.edge.auth.tenants import Records
from services.edge.context import Principal

_TYPES: Final = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
_LAST: Final = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
_MOST_LOGGED: Final = 64  # characters of a subject

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer:
    """Who may sign tokens, and what its tokens must look like."""

    name: str  # the operator's word for it
    issuer: str  # ``iss``
    audience: str  # must be in ``aud``
    keys: KeySet
    algorithms: frozenset[Algorithm]
    tenants: frozenset[str]  # it may speak for; empty: for all
    tenant_claim: str
    scope_claim: str  # a list, or one string with spaces in between
    leeway_s: float  # by which clocks may differ


class _Header(msgspec.Struct):
    alg: str
    kid: str | None = None
    typ: str = "JWT"
    crit: msgspec.Raw | None = None


class TokenDirectory:
    """Implements :class:`services.edge.auth.interface.Directory` for tokens.

    Args:
        issuers: Whose tokens are believed.
        tenants: What is known about each tenant.
        clock: For when a token is in force.
    """

    def __init__(self, issuers: Sequence[Issuer], *, tenants: Records, clock: Clock) -> None:
        self._issuers = {issuer.issuer: issuer for issuer in issuers}
        self._tenants = tenants
        self._clock = clock

    async def whoami(self, credential: str) -> Identified:
        header, claims, message, signature = _parsed(credential)
        issuer = self._issuers.get(_text(claims, "iss") or "")
        if issuer is None:
            _refuse("unknown issuer")
        if header.alg not in issuer.algorithms:
            _refuse("algorithm not allowed", issuer)
        key = await issuer.keys.find(header.kid, header.alg)
        if key is None:
            _refuse("unknown key", issuer)
        if not key.verify(message, signature):
            _refuse("wrong signature", issuer)
        ends = self._in_force(claims, issuer)
        tenant = _tenant(claims, issuer)
        if SCOPES.isdisjoint(_scopes(claims, issuer)):
            raise AuthError(ErrorCode.AUTH_FORBIDDEN, "The token has no scope 'infer'.")
        record = await self._tenants.record(tenant)
        principal = Principal(
            tenant=tenant, key_id=_key_id(claims, issuer), limits=record.limits, features=record.features
        )
        return Identified(principal=principal, expires_at=ends)

    def _in_force(self, claims: Mapping[str, Any], issuer: Issuer) -> datetime:
        """Until when; a token without an end is refused."""
        now = self._clock.now().timestamp()
        ends = _number(claims, "exp")
        if ends is None:
            _refuse("no 'exp'", issuer, tell="The token has no 'exp'.")
        if ends + issuer.leeway_s <= now:
            _refuse("expired", issuer, tell="The token has expired; get a new one.")
        for claim in ("nbf", "iat"):
            begins = _number(claims, claim)
            if begins is not None and begins - issuer.leeway_s > now:
                _refuse("not yet in force", issuer, tell="The token is not in force yet.")
        audience = claims.get("aud")
        if issuer.audience != audience and not (isinstance(audience, list) and issuer.audience in audience):
            _refuse("for another audience", issuer, tell="The token is for another audience.")
        return datetime.fromtimestamp(min(ends + issuer.leeway_s, _LAST), UTC)


def _parsed(credential: str) -> tuple[_Header, dict[str, Any], bytes, bytes]:
    """Header, claims, what is signed, and the signature; nothing of it is believed yet."""
    message, _, signature = credential.encode("ascii").rpartition(b".")
    head, _, body = message.partition(b".")
    try:
        header = msgspec.json.decode(unpadded(head), type=_Header)
        claims = msgspec.json.decode(unpadded(body), type=dict[str, Any])
        parts = header, claims, message, unpadded(signature)
    except (ValueError, UnicodeDecodeError, RecursionError):
        _refuse("malformed")
    if header.crit is not None or header.typ.lower() not in _TYPES:
        _refuse("of another type")
    return parts


def _text(claims: Mapping[str, Any], name: str) -> str | None:
    value = claims.get(name)
    return value if isinstance(value, str) else None


def _number(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse(f"{name!r} is not a time")
    return float(min(max(value, -_LAST), _LAST))


def _tenant(claims: Mapping[str, Any], issuer: Issuer) -> str:
    tenant = _text(claims, issuer.tenant_claim)
    try:
        parse_name(tenant or "", what="tenant")
    except InvalidRequest:
        tenant = None
    if tenant is None:
        _refuse("names no tenant", issuer, tell=f"The token's claim {issuer.tenant_claim!r} names no tenant.")
    if issuer.tenants and tenant not in issuer.tenants:
        _refuse(
            "names a tenant its issuer may not speak for",
            issuer,
            tell=f"The token's issuer may not speak for the tenant its claim {issuer.tenant_claim!r} names.",
        )
    return tenant


def _scopes(claims: Mapping[str, Any], issuer: Issuer) -> list[str]:
    value = claims.get(issuer.scope_claim)
    if isinstance(value, str):
        return value.split(" ")
    return [scope for scope in value if isinstance(scope, str)] if isinstance(value, list) else []


def _key_id(claims: Mapping[str, Any], issuer: Issuer) -> str:
    """Issuer and subject, of the subject only what can do no harm in a log."""
    subject = _text(claims, "sub") or ""
    shown = "".join(c if c.isascii() and (c.isalnum() or c in "-_.:@|") else "_" for c in subject[:_MOST_LOGGED])
    return f"{issuer.name}:{shown}"


def _refuse(reason: str, issuer: Issuer | None = None, *, tell: str | None = None) -> NoReturn:
    log.info("token_refused", reason=reason, issuer=None if issuer is None else issuer.name)
    raise invalid() if tell is None else AuthError(ErrorCode.AUTH_INVALID, tell)
