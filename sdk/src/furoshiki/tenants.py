# SPDX-License-Identifier: Apache-2.0
"""Tenants: the unit of isolation. Only a platform administrator sees more than their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Final

from furoshiki.api import get_request, json_request
from furoshiki.resource import D, Resource, listing, operation
from furoshiki.steps import Items, Steps, path


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantLimits:
    """How much a tenant may ask of the inference services. None: what each service gives by default; 0: nothing."""

    requests_per_second: float | None = None  # in the long run
    burst: int | None = None  # requests at once after a pause; None beside a rate: those of one second
    concurrent_requests: int | None = None  # under way at a time
    requests_per_hour: int | None = None  # of UTC
    requests_per_day: int | None = None  # of UTC


NO_LIMITS: Final = TenantLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """One tenant."""

    name: str
    display_name: str | None = None
    created_at: datetime | None = None
    limits: TenantLimits = NO_LIMITS
    features: dict[str, bool] = field(default_factory=dict)  # a name that is missing: as each service decides
    # Of tenants that were asked for by name: to change one only if nobody else did meanwhile.
    etag: str | None = field(default=None, compare=False)


class Tenants(Resource[D]):
    """``client.tenants``; needs the role ``platform-admin``."""

    @operation
    def create(self, name: str, *, display_name: str | None = None) -> Steps[Tenant]:
        """Creates a tenant.

        Raises:
            Conflict: ``STATE_002`` if the name is taken.
        """
        fields = {"name": name, "display_name": display_name}
        return (yield from self._api.fetch(json_request("POST", "/tenants", fields), Tenant))

    @operation
    def get(self, name: str) -> Steps[Tenant]:
        """One tenant by name."""
        return (yield from self._api.tagged(get_request(path("tenants", name)), Tenant))

    @operation
    def set_limits(self, name: str, limits: TenantLimits, *, etag: str | None = None) -> Steps[Tenant]:
        """Replaces a tenant's limits; inference services follow within seconds.

        Raises:
            NotFound: ``TENANT_001`` if there is no such tenant.
            Conflict: ``STATE_003`` if ``etag`` is given and somebody else changed the tenant meanwhile.
        """
        request = json_request("PUT", path("tenants", name, "limits"), asdict(limits), repeatable=True, etag=etag)
        return (yield from self._api.tagged(request, Tenant))

    @operation
    def set_features(self, name: str, features: Mapping[str, bool], *, etag: str | None = None) -> Steps[Tenant]:
        """Replaces what is switched on and off for a tenant; inference services follow within seconds.

        Raises:
            NotFound: ``TENANT_001`` if there is no such tenant.
            Conflict: ``STATE_003`` if ``etag`` is given and somebody else changed the tenant meanwhile.
        """
        fields = {"features": dict(features)}
        request = json_request("PUT", path("tenants", name, "features"), fields, repeatable=True, etag=etag)
        return (yield from self._api.tagged(request, Tenant))

    @listing
    def list(self) -> Items[Tenant]:
        """Every tenant."""
        yield from self._api.pages("/tenants", Tenant)
