# SPDX-License-Identifier: Apache-2.0
"""Tenants and keys as the API speaks of them."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BeforeValidator, Field

from core.features import Feature
from registry_api.http.access import Action, Role, actions_of
from registry_api.http.auth import Principal
from registry_api.http.fields import Incoming, Line, Moment, Name, Outgoing, Timestamp, whole
from registry_api.tenancy.values import ApiKey, Limits, MintedKey, Tenant

_MOST: Final = 1_000_000
_MOST_IN_A_WINDOW: Final = 2_000_000_000  # fits a 32-bit column
_LONGEST_OVERLAP: Final = 7 * 24 * 3600  # seconds
_Count: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=_MOST), BeforeValidator(whole)]
_Quota: TypeAlias = Annotated[int, Field(strict=True, ge=0, le=_MOST_IN_A_WINDOW), BeforeValidator(whole)]
_Rate: TypeAlias = Annotated[float, Field(strict=True, ge=0, le=_MOST)]


class LimitsIn(Incoming):
    """What a tenant may ask of the inference services. Null or missing: what each service gives by default."""

    requests_per_second: _Rate | None = Field(default=None, description="In the long run; 0: no request passes.")
    burst: _Count | None = Field(default=None, description="At once after a pause; null: those of one second.")
    concurrent_requests: _Count | None = Field(default=None, description="Under way at a time; 0: no request passes.")
    requests_per_hour: _Quota | None = Field(default=None, description="Hours of UTC; 0: no request passes.")
    requests_per_day: _Quota | None = Field(default=None, description="Days of UTC; 0: no request passes.")

    def value(self) -> Limits:
        """The limits as a value."""
        return Limits(**self.model_dump())


class LimitsOut(Outgoing):
    """What a tenant may ask of the inference services; null: what each service gives by default."""

    requests_per_second: float | None
    burst: int | None
    concurrent_requests: int | None
    requests_per_hour: int | None
    requests_per_day: int | None

    @classmethod
    def of(cls, limits: Limits) -> LimitsOut:
        """Shows limits."""
        return cls(**asdict(limits))


class FeaturesIn(Incoming):
    """What is switched on and off for a tenant. A feature that is missing: as each service decides."""

    features: dict[Feature, Annotated[bool, Field(strict=True)]] = Field(examples=[{"v2.repository": False}])

    def value(self) -> dict[str, bool]:
        """The switches by the features' names."""
        return {feature.value: on for feature, on in self.features.items()}


class TenantIn(Incoming):
    """A tenant to be made."""

    name: Name
    display_name: Line | None = None


class TenantOut(Outgoing):
    """A tenant."""

    name: str
    display_name: str
    created_at: Timestamp
    limits: LimitsOut
    features: dict[str, bool]

    @classmethod
    def of(cls, tenant: Tenant) -> TenantOut:
        """Shows a tenant."""
        return cls(
            name=tenant.name,
            display_name=tenant.display_name,
            created_at=tenant.created_at,
            limits=LimitsOut.of(tenant.limits),
            features=dict(tenant.features),
        )


class KeyIn(Incoming):
    """A key to be made."""

    name: Line
    roles: Annotated[list[Role], Field(min_length=1, max_length=len(Role))]
    tenant: Name | None = Field(default=None, description="Another tenant than your own; needs `platform-admin`.")
    expires_at: Moment | None = None


class RotateIn(Incoming):
    """How a key's secret is replaced."""

    overlap_seconds: Annotated[int, Field(strict=True, ge=0, le=_LONGEST_OVERLAP), BeforeValidator(whole)] = Field(
        default=3600, description="For which the secret it has works on; 0: it stops at once."
    )


class KeyOut(Outgoing):
    """A key, without its secret."""

    id: str
    name: str
    tenant: str
    roles: list[Role]
    created_at: Timestamp
    created_by: str | None = Field(description="Id of the key that asked for it; null for the first one.")
    expires_at: Timestamp | None
    last_used_at: Timestamp | None = Field(description="To the minute; null: not yet.")
    previous_until: Timestamp | None = Field(description="Until when the secret before the last rotation works.")

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
    """The caller, as its credential says, and what its tenant may use."""

    tenant: str
    key_id: str
    name: str
    roles: list[Role]
    actions: list[Action] = Field(description="What the roles allow.")
    expires_at: Timestamp | None
    limits: LimitsOut
    features: dict[str, bool]

    @classmethod
    def of(cls, principal: Principal, tenant: Tenant) -> WhoAmI:
        """Shows the caller."""
        return cls(
            tenant=principal.tenant,
            key_id=principal.key_id,
            name=principal.name,
            roles=sorted(principal.roles),
            actions=sorted(actions_of(principal.roles)),
            expires_at=principal.expires_at,
            limits=LimitsOut.of(tenant.limits),
            features=dict(tenant.features),
        )


def _shown(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "tenant": key.tenant,
        "roles": sorted(key.roles),
        "created_at": key.created_at,
        "created_by": key.created_by,
        "expires_at": key.expires_at,
        "last_used_at": key.last_used_at,
        "previous_until": key.previous_until,
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
    serial: int = Field(default=0, description="Grows with every change.")
    issued_at: Timestamp | None = Field(default=None, description="Of the last change.")
    tenant: str
    keys: list[TrustedKeyOut]
    revoked_keys: list[str]
    revoked_digests: list[str]
