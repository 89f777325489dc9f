# SPDX-License-Identifier: Apache-2.0
"""A key for the one inference that proves a deployment ready: role ``user``, minutes of life, revoked when it was used."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Final

from core.clock import Clock
from registry_api.http.access import Role
from registry_api.http.auth import Principal
from registry_api.tenancy.keys import KeyService
from registry_api.tenancy.values import NewKey

LIFE: Final = timedelta(minutes=10)
KEY_NAME: Final = "deployment readiness check"
_WORKER: Final = "worker"  # in the place of the key id that asked


class ProbeKeys:
    """Makes and ends such keys.

    Args:
        keys: The tenants' keys.
        clock: For their expiry, should the worker be killed before it revokes one.
    """

    def __init__(self, keys: KeyService, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock

    @asynccontextmanager
    async def key(self, tenant: str) -> AsyncIterator[str]:
        """A key of ``tenant`` that works inside the block."""
        worker = Principal(tenant=tenant, key_id=_WORKER, name=_WORKER, roles=frozenset({Role.TENANT_ADMIN}))
        expires_at = self._clock.now() + LIFE
        wanted = NewKey(tenant=tenant, name=KEY_NAME, roles=frozenset({Role.USER}), expires_at=expires_at)
        minted = await self._keys.create(worker, wanted)
        try:
            yield minted.plaintext
        finally:
            await self._keys.revoke(worker, tenant, minted.key.id)
