# SPDX-License-Identifier: Apache-2.0
"""Settings of who is believed: API keys, the registry's own tokens, OpenID providers."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field

from core.settings import Section
from registry_api.http.access import Role
from registry_api.settings.storage import PositiveFloat


def listed(value: Any) -> Any:
    """For settings that are lists: a text is split at its commas."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


def decoded(value: Any) -> Any:
    """For settings that are mappings with arbitrary names: a text is read as JSON."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except json.JSONDecodeError as error:
        raise ValueError(f"expected a JSON object ({error})") from None


Algorithms: TypeAlias = Annotated[tuple[Literal["EdDSA", "ES256", "RS256"], ...], BeforeValidator(listed)]


class AuthSettings(Section):
    """How credentials are checked."""

    cache_seconds: Annotated[float, Field(ge=0, le=5)] = 1.0  # a revoked key works at most this long elsewhere


class TokenSettings(Section):
    """The registry's own tokens; see docs/how-to/identity.md."""

    issuer: Annotated[str, Field(min_length=1)] = "furoshiki"  # what they say in 'iss'; another one for each registry
    audience: Annotated[str, Field(min_length=1)] = "furoshiki"  # what they say in 'aud'
    lifetime_seconds: Annotated[int, Field(ge=30, le=86_400)] = 900  # the longest life of one
    rotate_days: PositiveFloat = 30.0  # after which a new key signs


class OidcIssuer(Section):
    """One OpenID provider, and what its tokens are worth here."""

    issuer: Annotated[str, Field(min_length=1)]  # what its tokens say in 'iss', to the letter
    audience: Annotated[tuple[str, ...], BeforeValidator(listed), Field(min_length=1)]  # one of these must be in 'aud'
    discovery: str | None = None  # URL of its discovery document; not set: below the issuer
    jwks: str | None = None  # URL of its key set, for a provider that keeps it on another host; no discovery then
    algorithms: Algorithms = ("EdDSA", "ES256", "RS256")  # it may sign with; with commas in between
    tenant: str | None = None  # of everybody it speaks for; not set: the claim says
    tenant_claim: str = "tenant"  # claim that names the tenant
    tenants: Annotated[tuple[str, ...], BeforeValidator(listed)] = ()  # the claim may name, with commas; empty: all
    roles_claim: str = "groups"  # claim that lists groups, as a list or with spaces in between
    roles: Annotated[
        Mapping[str, tuple[Role, ...]], BeforeValidator(decoded)
    ]  # by group, as JSON: {"ml": ["developer"]}
    client_id: str | None = None  # public client of `furo login --oidc`; not set: nobody logs in with it from there
    scopes: str = "openid offline_access"  # `furo login --oidc` asks for
    leeway_seconds: Annotated[float, Field(ge=0, le=300)] = 30.0  # by which its clock and ours may differ


class OidcSettings(Section):
    """OpenID providers whose tokens are believed."""

    issuers: Mapping[str, OidcIssuer] = Field(default_factory=dict)  # by a name of your choice
    fresh_seconds: PositiveFloat = 300.0  # for which a provider's keys are used without asking again
    grace_seconds: Annotated[float, Field(ge=0)] = 3600.0  # more while they cannot be had
    refetch_seconds: PositiveFloat = 10.0  # at least, between two fetches because of unknown key ids
    timeout_seconds: PositiveFloat = 2.0  # a document must be there within
