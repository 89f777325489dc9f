# SPDX-License-Identifier: Apache-2.0
"""No credential at all: everybody is one tenant. Only for services that listen on loopback."""

from __future__ import annotations

from collections.abc import Mapping

from services.edge.context import Principal
from services.edge.features import DEFAULT_FEATURES


class OpenAuth:
    """Lets everybody in as one tenant.

    Args:
        tenant: Whose models are served.
        features: What is switched on for it.
    """

    def __init__(self, tenant: str, *, features: frozenset[str] = DEFAULT_FEATURES) -> None:
        self._principal = Principal(tenant=tenant, key_id="open", features=features)

    async def authenticate(self, headers: Mapping[bytes, bytes]) -> Principal:  # noqa: ARG002
        return self._principal

    def known(self, headers: Mapping[bytes, bytes]) -> Principal | None:  # noqa: ARG002
        return self._principal
