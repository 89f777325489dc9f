# SPDX-License-Identifier: Apache-2.0
"""Tenants: the unit of isolation. Only a platform administrator sees more than their own."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from furoshiki.api import get_request, json_request
from furoshiki.resource import D, Resource, listing, operation
from furoshiki.steps import Items, Steps, path


@dataclass(frozen=True, slots=True, kw_only=True)
class Tenant:
    """One tenant."""

    name: str
    display_name: str | None = None
    created_at: datetime | None = None


class Tenants(Resource[D]):
    """``client.tenants``; needs the scope ``platform-admin``."""

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
        return (yield from self._api.fetch(get_request(path("tenants", name)), Tenant))

    @listing
    def list(self) -> Items[Tenant]:
        """Every tenant."""
        yield from self._api.pages("/tenants", Tenant)
