# SPDX-License-Identifier: Apache-2.0
"""Tenants and keys as values. A key's secret is in none of them but :class:`MintedKey`, which exists once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from registry_api.http.access import Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """How much a tenant may ask of the inference services. None: what each service gives by default; 0: nothing."""

    requests_per_second: float | None = None  # in the long run
    burst: int | None = None  # requests at once after a pause
    concurrent_requests: int | None = None  # under way at a time
    requests_per_hour: int | None = None  # of UTC
    requests_per_day: int | None = None  # of UTC


NO_LIMITS: Final = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """The isolation unit."""

    name: str
    display_name: str
    created_at: datetime
    limits: Limits = NO_LIMITS
    features: Mapping[str, bool] = field(default_factory=dict)  # a name that is missing: as each service decides


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    """A key as stored: what it may do, never what it is."""

    id: str
    tenant: str
    name: str
    roles: frozenset[Role]
    created_at: datetime
    created_by: str | None  # id of the key that asked for it; None: made at the first start
    expires_at: datetime | None  # None: does not expire
    revoked_at: datetime | None  # None: not revoked
    last_used_at: datetime | None = None  # to the minute; None: never, or not for long enough to be written down
    previous_until: datetime | None = None  # until when the secret before the last rotation works; None: none does

    def usable(self, now: datetime) -> bool:
        """Whether the key opens anything at ``now``."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredKey:
    """A key, and the hashes of its secrets."""

    key: ApiKey
    secret_hash: str
    previous_hash: str | None  # of the secret before the last rotation; counts until ``key.previous_until``


@dataclass(frozen=True, slots=True, kw_only=True)
class MintedKey:
    """A new key and its only plaintext."""

    key: ApiKey
    plaintext: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewKey:
    """What a caller asks for."""

    tenant: str
    name: str
    roles: frozenset[Role]
    expires_at: datetime | None = None  # None: does not expire
