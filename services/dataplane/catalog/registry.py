# SPDX-License-Identifier: Apache-2.0
"""Models of every tenant, found through the registry and loaded on first use.

What a name means is remembered for a few seconds (:mod:`services.dataplane.catalog.names`), and looked up anew when something
of its tenant changed and this process hears of it.

A loaded model is held against the tenant's policy each time its name is looked up anew and whenever
:mod:`services.dataplane.trust.watch` looks, whether the registry answers or not: it leaves the cache when its key is no
longer trusted or anything it was made of was revoked.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

from artifacts.coordination.alone import Alone
from artifacts.coordination.interface import Turns
from core.clock import Clock
from core.errors import Unavailable
from runners.bundles import ModelLoader
from runners.cache import LoadedModel, ModelCache
from services.dataplane.catalog.fetching import Fetcher
from services.dataplane.catalog.interface import ModelState, State, asked_version, state_of
from services.dataplane.catalog.listing import Listing
from services.dataplane.catalog.names import Meaning, Names
from services.dataplane.registry import RegistryGateway
from services.dataplane.trust.live import LiveTrust
from services.edge.context import Principal

_HEARD_LATE_S: Final = 0.3  # another process of the registry may hear of a change that much later than this one


class RegistryCatalog:
    """Serves what the registry has, each tenant its own.

    Args:
        gateway: Asks the registry.
        trust: The keys each tenant trusts.
        loader: Verifies and loads.
        cache: Keeps loaded models.
        clock: For the age of an answer.
        fresh_s: Seconds an answer is used without asking again.
        grace_s: Seconds it is used while the registry cannot be reached.
        loads: Models fetched and loaded at a time.
        scratch: The folder a download lies in until it is loaded; None: the system's own.
        turns: Which hosts may load the same model at once.
        hosts: How many.
        refuse_after_sunset: Whether a version is not served any more after the sunset of its deprecation.
    """

    def __init__(
        self,
        gateway: RegistryGateway,
        *,
        trust: LiveTrust,
        loader: ModelLoader,
        cache: ModelCache,
        clock: Clock,
        fresh_s: float,
        grace_s: float,
        loads: int,
        scratch: Path | None,
        turns: Turns | None = None,
        hosts: int = 1,
        refuse_after_sunset: bool = False,
    ) -> None:
        self._gateway = gateway
        self._trust = trust
        self._cache = cache
        self._names = Names(
            gateway,
            clock=clock,
            fresh_s=fresh_s,
            grace_s=grace_s,
            refuse_after_sunset=refuse_after_sunset,
            looked_up=self._looked_up,
        )
        self._fetcher = Fetcher(
            gateway,
            trust=trust,
            loader=loader,
            cache=cache,
            loads=loads,
            scratch=scratch,
            turns=turns or Alone(),
            hosts=hosts,
        )
        self._listing = Listing(gateway, clock=clock, fresh_s=fresh_s)
        self._closed = False
        self.release = cache.release

    def forget(self, tenant: str) -> None:
        """Something of a tenant (``*``: of any) changed in the registry: what its names mean is looked up anew."""
        self._forget(tenant)
        asyncio.get_running_loop().call_later(_HEARD_LATE_S, self._forget, tenant)

    def _forget(self, tenant: str) -> None:
        self._names.forget(tenant)
        self._listing.forget(tenant)

    async def acquire(self, principal: Principal, model: str, version: str | None) -> LoadedModel:
        tenant = principal.tenant
        meaning, digest = await self._names.find(tenant, model, version)
        load = partial(
            self._fetcher.load, tenant, model, meaning.version, digest, meaning.size, variant=meaning.variant
        )
        loaded = await self._cache.acquire((tenant, digest), load)
        loaded.notice = meaning.notice
        return loaded

    def lease(self, principal: Principal, model: str, version: str | None) -> LoadedModel | None:
        meaning = self._names.fresh(principal.tenant, model, version)
        if meaning is None or meaning.digest is None:
            return None
        return self._cache.lease((principal.tenant, meaning.digest))

    def loaded(self, principal: Principal) -> Sequence[LoadedModel]:
        return [model for model in self._cache.models if model.tenant == principal.tenant]

    async def resolve(self, principal: Principal, model: str, version: str | None) -> str:
        meaning, _ = await self._names.find(principal.tenant, model, version)
        return str(meaning.version)

    async def versions(self, principal: Principal, model: str) -> Sequence[str]:
        asked_version(model, None)
        try:
            numbers = await self._listing.versions(principal.tenant, model)
        except Unavailable:
            numbers = tuple(sorted(int(found.version) for found in self.loaded(principal) if found.model == model))
            if not numbers:
                raise
        return [str(number) for number in numbers]

    async def index(self, principal: Principal) -> Sequence[ModelState]:
        tenant = principal.tenant
        states = {(model.model, model.version): state_of(model) for model in self.loaded(principal)}
        for name, number in (await self._listing.models(tenant)).items():
            version = "" if number is None else str(number)
            if (name, version) not in states:
                states[name, version] = self._not_loaded(tenant, name, version)
        return [states[key] for key in sorted(states)]

    def _not_loaded(self, tenant: str, name: str, version: str) -> ModelState:
        if not version:
            return ModelState(name=name, version="", state=State.UNAVAILABLE, reason="no version is registered")
        meanings = [self._names.last(tenant, name, asked) for asked in (None, version)]
        keys = {(tenant, meaning.digest) for meaning in meanings if meaning is not None and meaning.digest is not None}
        if not keys.isdisjoint(self._cache.loading):
            return ModelState(name=name, version=version, state=State.LOADING)
        return ModelState(
            name=name, version=version, state=State.UNAVAILABLE, reason="not loaded; the first request loads it"
        )

    async def load(self, principal: Principal, model: str) -> None:
        self.release(await self.acquire(principal, model, None))

    async def unload(self, principal: Principal, model: str) -> None:
        loaded = [found for found in self.loaded(principal) if found.model == model]
        if not loaded:
            await self._names.find(principal.tenant, model, None)
        for found in loaded:
            self._cache.evict((found.tenant, found.digest))

    @property
    def tenants(self) -> frozenset[str]:
        return frozenset(model.tenant for model in self._cache.models)

    def withdraw(self) -> None:
        self._end(self._cache.models)

    async def ready(self) -> bool:
        return not self._closed

    async def close(self, *, drain_s: float | None = None) -> None:
        self._closed = True
        await self._cache.close(drain_s=drain_s)
        await self._gateway.close()

    def _looked_up(self, tenant: str, meaning: Meaning) -> None:
        meant = [model for model in self._cache.models if (model.tenant, model.digest) == (tenant, meaning.digest)]
        for loaded in meant:
            loaded.notice = meaning.notice
        self._end(meant)

    def _end(self, models: Sequence[LoadedModel]) -> None:
        """Takes those of some models out that may no longer be used."""
        for model in self._trust.refused(models):
            self._cache.evict((model.tenant, model.digest))
