# SPDX-License-Identifier: Apache-2.0
"""Tokens and logins as the API speaks of them."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from registry_api.http.access import Role
from registry_api.http.fields import Incoming, Outgoing, Timestamp, whole
from registry_api.tenancy.tokens.local import IssuedToken


class TokenIn(Incoming):
    """A token to be made."""

    roles: Annotated[list[Role], Field(min_length=1, max_length=len(Role))] | None = Field(
        default=None, description="Of your own, those it is to have; null: all."
    )
    lifetime_seconds: Annotated[int, Field(strict=True, ge=1, le=86_400), BeforeValidator(whole)] | None = Field(
        default=None, description="Null, or more than the registry allows: as long as it allows."
    )


class TokenOut(Outgoing):
    """A token, shown this once."""

    token: str
    token_type: Literal["Bearer"] = "Bearer"  # noqa: S105 - the name of a scheme
    roles: list[Role]
    expires_at: Timestamp

    @classmethod
    def of(cls, issued: IssuedToken) -> TokenOut:
        """Shows a token."""
        return cls(token=issued.token, roles=sorted(issued.roles), expires_at=issued.expires_at)


class RotationIn(Incoming):
    """How the key that signs tokens is replaced."""

    revoke: Annotated[bool, Field(strict=True)] = Field(
        default=False, description="End the tokens of the old keys within seconds, instead of letting them run out."
    )


class TokenKeyOut(Outgoing):
    """The key that signs tokens now."""

    kid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginProvider:
    """An OpenID provider that people log in with from the command line."""

    name: str
    issuer: str
    client_id: str  # of a public client: it has no secret, PKCE takes its place
    scopes: str  # to ask for, with spaces in between


@dataclass(frozen=True, slots=True, kw_only=True)
class LoginProviders:
    """All of them, by name."""

    providers: tuple[LoginProvider, ...]


class LoginProviderOut(Outgoing):
    """Where a login begins; the provider's own discovery document says the rest."""

    name: str
    issuer: str
    client_id: str
    scopes: str


class LoginOut(Outgoing):
    """How one can log in, apart from keys."""

    providers: list[LoginProviderOut]

    @classmethod
    def of(cls, providers: LoginProviders) -> LoginOut:
        """Shows providers."""
        return cls(providers=[LoginProviderOut(**asdict(one)) for one in providers.providers])


class JwkOut(Outgoing):
    """The public half of a key that signs tokens (RFC 7517, RFC 8037)."""

    kty: Literal["OKP"]
    crv: Literal["Ed25519"]
    x: str
    kid: str
    alg: Literal["EdDSA"]
    use: Literal["sig"]


class KeySetOut(Outgoing):
    """The keys that the registry's tokens are checked with."""

    keys: list[JwkOut]
