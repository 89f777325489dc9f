# SPDX-License-Identifier: Apache-2.0
"""What a tenant can ask and tell about its models besides running them; every protocol calls the same.

Which there are, whether they are ready, what they did; load and unload.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import AuthError, ErrorCode, Unavailable
from runners.statistics import ModelStatistics
from services.dataplane.catalog.interface import Catalog, ModelState, State
from services.edge.context import Principal


class Repository:
    """The models of a catalog, as callers may see and change them.

    Args:
        catalog: Where models come from.
        control: Whether callers may load and unload.
    """

    def __init__(self, catalog: Catalog, *, control: bool) -> None:
        self._catalog = catalog
        self._control = control

    async def versions(self, principal: Principal, model: str) -> Sequence[str]:
        """The versions of a model, oldest first.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such model.
        """
        return await self._catalog.versions(principal, model)

    async def index(self, principal: Principal, *, ready_only: bool) -> list[ModelState]:
        """The tenant's models: the default version of each, and every other that is loaded.

        Args:
            principal: Who asks.
            ready_only: Leaves out what is not READY.
        """
        states = await self._catalog.index(principal)
        return [state for state in states if not ready_only or state.state is State.READY]

    async def model_ready(self, principal: Principal, model: str, version: str | None) -> bool:
        """Whether a request to the model would be run now; where models are loaded on demand, this loads it.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such model or version.
            SignatureError: ``SIGN_*`` if its bundle does not verify.
        """
        try:
            loaded = await self._catalog.acquire(principal, model, version)
        except Unavailable as error:
            if error.code is ErrorCode.MODEL_NOT_READY:
                return False
            raise
        try:
            return loaded.handle.ready
        finally:
            self._catalog.release(loaded)

    async def load(self, principal: Principal, model: str) -> None:
        """Loads a model's default version; nothing to do if it is loaded.

        Raises:
            AuthError: ``AUTH_003`` if callers may not.
            ModelError: ``MODEL_001`` if the tenant has no such model.
            SignatureError: ``SIGN_*`` if its bundle does not verify.
        """
        self._require_control()
        await self._catalog.load(principal, model)

    async def unload(self, principal: Principal, model: str) -> None:
        """Takes every version of a model out of memory; returns when accepted requests to it have ended, or will as usual.

        Raises:
            AuthError: ``AUTH_003`` if callers may not.
            Conflict: ``STATE_001`` if this process does not decide about it.
            ModelError: ``MODEL_001`` if the tenant has no such model.
        """
        self._require_control()
        await self._catalog.unload(principal, model)

    async def statistics(
        self, principal: Principal, model: str | None, version: str | None
    ) -> list[tuple[str, str, ModelStatistics]]:
        """What was counted of the tenant's loaded models.

        Args:
            principal: Who asks.
            model: None: all of them.
            version: None: every loaded version.

        Returns:
            Model, version and counters of each loaded version. A model that was named and is not loaded counts nothing.

        Raises:
            ModelError: ``MODEL_001`` if the tenant has no such model or version.
        """
        found = [
            (loaded.model, loaded.version, loaded.handle.statistics())
            for loaded in self._catalog.loaded(principal)
            if model in (None, loaded.model) and version in (None, loaded.version)
        ]
        if not found and model is not None:
            found.append((model, await self._catalog.resolve(principal, model, version), ModelStatistics()))
        return found

    def _require_control(self) -> None:
        if not self._control:
            raise AuthError(
                ErrorCode.AUTH_FORBIDDEN,
                "Models are not loaded or unloaded by callers here; the operator can allow it with "
                "FUROSHIKI_REPOSITORY__CONTROL=true.",
            )
