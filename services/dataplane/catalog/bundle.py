# SPDX-License-Identifier: Apache-2.0
"""A Bento of one variant: one bundle beside the code, verified and loaded at start."""

from __future__ import annotations

from runners.cache import LoadedModel, drain
from services.dataplane.catalog.interface import not_found
from services.edge.context import Principal


class BundleCatalog:
    """Serves exactly one model, and only to its own tenant.

    Args:
        loaded: The verified, loaded model.
    """

    def __init__(self, loaded: LoadedModel) -> None:
        self._loaded = loaded
        self._closed = False

    async def acquire(self, principal: Principal, model: str, version: str | None) -> LoadedModel:
        loaded = self._loaded
        if model != loaded.model or principal.tenant != loaded.tenant or version not in (None, loaded.version):
            raise not_found(model, version)
        return loaded

    def release(self, model: LoadedModel) -> None:
        """Nothing to do: the model lives as long as the service."""

    async def ready(self) -> bool:
        return not self._closed

    async def close(self, *, drain_s: float | None = None) -> None:
        self._closed = True
        await drain([self._loaded], drain_s)
        await self._loaded.handle.close()
