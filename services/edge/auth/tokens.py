# SPDX-License-Identifier: Apache-2.0
"""Whom a signed token belongs to.

That a token is genuine and in force is checked by :mod:`artifacts.tokens.verifier`; what is checked here is what it says: the
tenant it names, that its issuer may speak for that tenant, and that it allows to infer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from artifacts.tokens.verifier import TokenIssuer, TokenVerifier, refuse, shown_subject, text_of, texts_of
from core.clock import Clock
from core.errors import AuthError, ErrorCode, InvalidRequest
from core.refs import parse_name
from services.edge.auth.interface import SCOPES, Identified
from services.edge.auth.tenants import Records
from services.edge.context import Principal


@dataclass(frozen=True, slots=True, kw_only=True)
class Issuer(TokenIssuer):
    """An issuer, and how its tokens name tenant and scopes."""

    tenants: frozenset[str]  # it may speak for; empty: for all
    tenant_claim: str
    scope_claim: str  # a list, or one string with spaces in between


class TokenDirectory:
    """Implements :class:`services.edge.auth.interface.Directory` for tokens.

    Args:
        issuers: Whose tokens are believed.
        tenants: What is known about each tenant.
        clock: For when a token is in force.
    """

    def __init__(self, issuers: Sequence[Issuer], *, tenants: Records, clock: Clock) -> None:
        self._verifier = TokenVerifier(issuers, clock=clock)
        self._tenants = tenants

    async def whoami(self, credential: str) -> Identified:
        token = await self._verifier.verify(credential)
        tenant = _tenant(token.claims, token.issuer)
        if SCOPES.isdisjoint(texts_of(token.claims, token.issuer.scope_claim)):
            raise AuthError(ErrorCode.AUTH_FORBIDDEN, "The token has no scope 'infer'.")
        record = await self._tenants.record(tenant)
        key_id = f"{token.issuer.name}:{shown_subject(token.claims)}"
        principal = Principal(tenant=tenant, key_id=key_id, limits=record.limits, features=record.features)
        return Identified(principal=principal, expires_at=token.ends)


def _tenant(claims: Mapping[str, Any], issuer: Issuer) -> str:
    tenant = text_of(claims, issuer.tenant_claim)
    try:
        parse_name(tenant or "", what="tenant")
    except InvalidRequest:
        tenant = None
    if tenant is None:
        refuse("names no tenant", issuer, tell=f"The token's claim {issuer.tenant_claim!r} names no tenant.")
    if issuer.tenants and tenant not in issuer.tenants:
        refuse(
            "names a tenant its issuer may not speak for",
            issuer,
            tell=f"The token's issuer may not speak for the tenant its claim {issuer.tenant_claim!r} names.",
        )
    return tenant
