# SPDX-License-Identifier: Apache-2.0
"""Tenants and keys as the API speaks of them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from registry_api.http.auth import Principal, Scope
from registry_api.http.fields import Incoming, Line, Moment, Name, Outgoing, Timestamp
from registry_api.tenancy.values import ApiKey, MintedKey, Tenant


class TenantIn(Incoming):
    """A tenant to be made."""

    name: Name
    display_name: Line | None = None


class TenantOut(Outgoing):
    """A tenant."""

    name: str
    display_name: str
    created_at: Timestamp

    @classmethod
    def of(cls, tenant: Tenant) -> TenantOut:
        """Shows a tenant."""
        return cls(name=tenant.name, display_name=tenant.display_name, created_at=tenant.created_at)


class KeyIn(Incoming):
    """A key to be made."""

    name: Line
    scopes: Annotated[list[Scope], Field(min_length=1, max_length=len(Scope))]
    tenant: Name | None = Field(default=None, description="Another tenant than your own; needs `platform-admin`.")
    expires_at: Moment | None = None


class KeyOut(Outgoing):
    """A key, without its secret."""

    id: str
    name: str
    tenant: str
    scopes: list[Scope]
    created_at: Timestamp
    created_by: str | None = Field(description="Id of the key that asked for it; null for the first one.")
    expires_at: Timestamp | None

    @classmethod
    def of(cls, key: ApiKey) -> KeyOut:
        """Shows a key."""
        return cls(**_shown(key))


class MintedKeyOut(KeyOut):
    """A new key with its plaintext, shown this once."""

    key: str = Field(description="Keep it now: the registry stores only its hash.")

    @classmethod
    def minted(cls, minted: MintedKey) -> MintedKeyOut:
        """Shows a new key."""
        return cls(**_shown(minted.key), key=minted.plaintext)


class WhoAmI(Outgoing):
    """The caller, as its credential says."""

    tenant: str
    key_id: str
    name: str
    scopes: list[Scope]
    expires_at: Timestamp | None

    @classmethod
    def of(cls, principal: Principal) -> WhoAmI:
        """Shows the caller."""
        return cls(
            tenant=principal.tenant,
            key_id=principal.key_id,
            name=principal.name,
            scopes=sorted(principal.scopes),
            expires_at=principal.expires_at,
        )


def _shown(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "tenant": key.tenant,
        "scopes": sorted(key.scopes),
        "created_at": key.created_at,
        "created_by": key.created_by,
        "expires_at": key.expires_at,
    }


class TrustedKeyOut(Outgoing):
    """A key whose signatures count."""

    key_id: str
    public_key: str = Field(description="SubjectPublicKeyInfo in PEM.")
    not_before: Timestamp | None
    not_after: Timestamp | None


class TrustOut(Outgoing):
    """What counts as signed for one tenant; `artifacts.signing.policy` writes it."""

    schema_version: int
    tenant: str
    keys: list[TrustedKeyOut]
    revoked_keys: list[str]
    revoked_digests: list[str]
