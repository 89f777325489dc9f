# SPDX-License-Identifier: Apache-2.0
"""What a token of an OpenID provider means here: its tenant and its roles, by the operator's mapping.

The provider says who somebody is and in which groups; which role a group is worth is decided here. Groups that the mapping
does not name give nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from artifacts.tokens.verifier import TokenIssuer, refuse, shown_subject, text_of, texts_of
from core.errors import AuthError, ErrorCode, InvalidRequest
from core.refs import parse_name
from registry_api.http.access import Role
from registry_api.http.auth import Principal, Via


@dataclass(frozen=True, slots=True, kw_only=True)
class OidcReader:
    """Implements :class:`registry_api.tenancy.tokens.authenticator.Reader` for one provider."""

    tenant: str | None  # of everybody; None: the claim says
    tenant_claim: str
    tenants: frozenset[str]  # that the claim may name; empty: all
    roles_claim: str  # a list, or one string with spaces in between
    roles: Mapping[str, frozenset[Role]]  # by group

    async def principal(self, claims: dict[str, Any], issuer: TokenIssuer, *, expires_at: datetime) -> Principal:
        subject = text_of(claims, "sub")
        if not subject:
            refuse("no 'sub'", issuer, tell="The token has no 'sub'.")
        tenant = self.tenant or self._claimed(claims, issuer)
        groups = texts_of(claims, self.roles_claim)
        roles = frozenset[Role]().union(*(self.roles.get(group, frozenset()) for group in groups))
        if not roles:
            raise AuthError(
                ErrorCode.AUTH_FORBIDDEN,
                f"The token's claim {self.roles_claim!r} names no group that has a role here. Ask an operator for one.",
                details={"claim": self.roles_claim},
            )
        return Principal(
            tenant=tenant,
            key_id=id_of(issuer.issuer, subject),
            name=f"{shown_subject(claims)}@{issuer.name}",
            roles=roles,
            expires_at=expires_at,
            via=Via.LOGIN,
        )

    def _claimed(self, claims: Mapping[str, Any], issuer: TokenIssuer) -> str:
        tenant = text_of(claims, self.tenant_claim) or ""
        try:
            parse_name(tenant, what="tenant")
        except InvalidRequest:
            refuse("names no tenant", issuer, tell=f"The token's claim {self.tenant_claim!r} names no tenant.")
        if self.tenants and tenant not in self.tenants:
            refuse(
                "names a tenant its issuer may not speak for",
                issuer,
                tell=f"The token's issuer may not speak for the tenant its claim {self.tenant_claim!r} names.",
            )
        return tenant


def id_of(issuer: str, subject: str) -> str:
    """What stands for somebody in the place of a key id: always the same, and never the id of a key."""
    return "u" + hashlib.sha256(f"{issuer}\0{subject}".encode()).hexdigest()[:15]
