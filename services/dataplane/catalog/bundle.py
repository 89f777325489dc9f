# SPDX-License-Identifier: Apache-2.0
"""A Bento of one variant: one bundle beside the code, verified and loaded at start.

The model may be unloaded and loaded again while the service runs. Unloaded, it takes no memory, its requests get
``MODEL_002`` and the service is not ready; a request does not load it. While its signature does not count, as when its key
was revoked, every request gets the ``SIGN_*`` code instead of an answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from core.errors import Conflict, ErrorCode, SignatureError, Unavailable
from core.telemetry.logs import get_logger
from runners.cache import LoadedModel, drain
from services.dataplane.catalog.interface import ModelState, State, not_found, state_of
from services.dataplane.trust.live import LiveTrust
from services.edge.context import Principal

log = get_logger(__name__)


class BundleCatalog:
    """Serves exactly one model, and only to its own tenant.

    Args:
        loaded: The verified, loaded model.
        trust: Says whether it may still be used; None: it may.
        reload: Verifies and loads it again; None: it is not loaded by this process and cannot be unloaded by it.
        on_close: Told of the model each time it is closed.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        *,
        trust: LiveTrust | None = None,
        reload: Callable[[], Awaitable[LoadedModel]] | None = None,
        on_close: Callable[[LoadedModel], None] | None = None,
    ) -> None:
        self._model: LoadedModel | None = loaded  # None: unloaded
        self._identity = loaded.tenant, loaded.model
        self._version = loaded.version
        self._reload = reload
        self._on_close = on_close
        self._loading = asyncio.Lock()
        self._ending: set[LoadedModel] = set()
        self._closed = False
        self._trust = trust
        self._refusal: SignatureError | None = None  # None: the model may be used

    async def acquire(self, principal: Principal, model: str, version: str | None) -> LoadedModel:
        self._require(principal, model, version)
        loaded = self._model
        if self._refusal is not None:
            raise SignatureError(self._refusal.code, self._refusal.message, details=self._refusal.details)
        if loaded is None:
            raise Unavailable(ErrorCode.MODEL_NOT_READY, f"Model {model!r} is unloaded.", retry_after=1.0)
        return loaded

    def lease(self, principal: Principal, model: str, version: str | None) -> LoadedModel | None:
        return self._model if self._refusal is None and self._is_mine(principal, model, version) else None

    def release(self, model: LoadedModel) -> None:
        """Nothing to do: a model that is unloaded is drained, whoever leases it."""

    def loaded(self, principal: Principal) -> Sequence[LoadedModel]:
        return [] if self._model is None or principal.tenant != self._model.tenant else [self._model]

    async def resolve(self, principal: Principal, model: str, version: str | None) -> str:
        self._require(principal, model, version)
        return self._version

    async def versions(self, principal: Principal, model: str) -> Sequence[str]:
        return [await self.resolve(principal, model, None)]

    async def index(self, principal: Principal) -> Sequence[ModelState]:
        tenant, name = self._identity
        if principal.tenant != tenant:
            return []
        if self._refusal is not None:
            return [
                ModelState(name=name, version=self._version, state=State.UNAVAILABLE, reason="not trusted any more")
            ]
        if self._model is not None:
            return [state_of(self._model)]
        if self._loading.locked():
            return [ModelState(name=name, version=self._version, state=State.LOADING)]
        return [ModelState(name=name, version=self._version, state=State.UNAVAILABLE, reason="unloaded")]

    async def load(self, principal: Principal, model: str) -> None:
        self._require(principal, model, None)
        async with self._loading:
            if self._model is not None or self._reload is None or self._closed:
                return
            loaded = await self._reload()
            if self._closed:
                await self._end([loaded])
            else:
                self._model = loaded

    async def unload(self, principal: Principal, model: str) -> None:
        self._require(principal, model, None)
        if self._reload is None:
            raise Conflict(
                ErrorCode.STATE_CONFLICT,
                f"Model {model!r} is shared by the processes of this service; it is unloaded with the service.",
            )
        if self._model is not None:
            loaded, self._model = self._model, None
            await self._end([loaded])

    @property
    def tenants(self) -> frozenset[str]:
        return frozenset({self._identity[0]})

    def withdraw(self) -> None:
        if self._trust is None or self._model is None:
            return
        before, self._refusal = self._refusal, None
        try:
            self._trust.check(self._model)
        except SignatureError as error:
            self._refusal = error
            if before is None:
                log.error("model_withdrawn", model="/".join(self._identity), code=error.code, reason=error.message)

    async def ready(self) -> bool:
        usable = not self._closed and self._refusal is None
        return usable and self._model is not None and self._model.handle.ready

    async def close(self, *, drain_s: float | None = None) -> None:
        self._closed = True
        loaded, self._model = self._model, None
        await self._end([*self._ending, *([] if loaded is None else [loaded])], drain_s=drain_s)

    async def _end(self, models: Sequence[LoadedModel], *, drain_s: float | None = None) -> None:
        """Closes models when their accepted requests have ended, each once."""
        self._ending.update(models)
        await drain(models, drain_s)
        for model in models:
            if model in self._ending:
                self._ending.discard(model)
                if self._on_close is not None:
                    self._on_close(model)
                await model.handle.close()

    def _is_mine(self, principal: Principal, model: str, version: str | None) -> bool:
        return (principal.tenant, model) == self._identity and version in (None, self._version)

    def _require(self, principal: Principal, model: str, version: str | None) -> None:
        if not self._is_mine(principal, model, version):
            raise not_found(model, version)
