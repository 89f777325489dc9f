# SPDX-License-Identifier: Apache-2.0
"""Models of every tenant, found through the registry and loaded on first use.

What a name means is remembered for a few seconds, absence included; while the registry cannot be reached, what was
known stays in use for ``grace_s``, and the registry is asked again only every few seconds. A loaded model is held
against the tenant's policy each time its name is looked up anew, whether the registry answers or not: it leaves the cache
when its key is no longer trusted or anything it was made of was revoked. A few models are fetched and loaded at a time,
and none that would not fit into the cache.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from artifacts.keys.file import FileTrust
from artifacts.signing.policy import Subject
from artifacts.source import DirectorySource
from core.clock import Clock
from core.errors import ErrorCode, InvalidRequest, ModelError, SignatureError, Unavailable
from runners.bundles import ModelLoader
from runners.cache import LoadedModel, ModelCache
from services.dataplane.catalog.interface import ModelState, State, asked_number, not_found, state_of
from services.dataplane.catalog.listing import Listing
from services.dataplane.registry import RegistryGateway
from services.edge.context import Principal
from services.edge.questions import Questions

_MOST_NAMES: Final = 10_000

_Name: TypeAlias = tuple[str, str, str | None]  # tenant, model, version as asked


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meaning:
    version: int
    digest: str | None  # None: there is no such model
    size: int  # bytes of its files
    fresh_until: float  # on the monotonic clock
    usable_until: float  # while the registry cannot be reached


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
    """

    def __init__(
        self,
        gateway: RegistryGateway,
        *,
        trust: FileTrust,
        loader: ModelLoader,
        cache: ModelCache,
        clock: Clock,
        fresh_s: float,
        grace_s: float,
        loads: int,
        scratch: Path | None,
    ) -> None:
        self._gateway = gateway
        self._trust = trust
        self._loader = loader
        self._cache = cache
        self._clock = clock
        self._fresh_s = fresh_s
        self._grace_s = grace_s
        self._names: OrderedDict[_Name, _Meaning] = OrderedDict()
        self._loads = asyncio.Semaphore(loads)
        self._scratch = scratch
        self._questions: Questions[_Name, _Meaning] = Questions()
        self._listing = Listing(gateway, clock=clock, fresh_s=fresh_s)
        self._closed = False
        self.release = cache.release

    async def acquire(self, principal: Principal, model: str, version: str | None) -> LoadedModel:
        meaning, digest = await self._find(principal, model, version)
        return await self._cache.acquire(
            (principal.tenant, digest), partial(self._load, principal.tenant, model, meaning)
        )

    async def _find(self, principal: Principal, model: str, version: str | None) -> tuple[_Meaning, str]:
        """What a name means, and the digest of that."""
        name = (principal.tenant, model, version)
        meaning = self._names.get(name)
        if meaning is None or meaning.fresh_until <= self._clock.monotonic():
            number = asked_number(model, version)
            meaning = await self._questions.ask(name, partial(self._ask, name, number))
        if meaning.digest is None:
            raise not_found(model, version)
        return meaning, meaning.digest

    def lease(self, principal: Principal, model: str, version: str | None) -> LoadedModel | None:
        meaning = self._names.get((principal.tenant, model, version))
        if meaning is None or meaning.digest is None or meaning.fresh_until <= self._clock.monotonic():
            return None
        return self._cache.lease((principal.tenant, meaning.digest))

    def loaded(self, principal: Principal) -> Sequence[LoadedModel]:
        return [model for model in self._cache.models if model.tenant == principal.tenant]

    async def resolve(self, principal: Principal, model: str, version: str | None) -> str:
        meaning, _ = await self._find(principal, model, version)
        return str(meaning.version)

    async def versions(self, principal: Principal, model: str) -> Sequence[str]:
        asked_number(model, None)
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
        meanings = [self._names.get((tenant, name, asked)) for asked in (None, version)]
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
            await self._find(principal, model, None)
        for found in loaded:
            self._cache.evict((found.tenant, found.digest))

    async def ready(self) -> bool:
        return not self._closed

    async def close(self, *, drain_s: float | None = None) -> None:
        self._closed = True
        await self._cache.close(drain_s=drain_s)
        await self._gateway.close()

    async def _ask(self, name: _Name, number: int | None) -> _Meaning:
        tenant, model, _ = name
        asked = self._clock.monotonic()
        try:
            found = await self._gateway.resolve(tenant, model, number)
            meaning = self._meaning(found.version, found.digest, found.size, asked)
        except ModelError:
            meaning = self._meaning(0, None, 0, asked)
        except Unavailable:
            known, now = self._names.get(name), self._clock.monotonic()
            if known is None or known.usable_until < now:
                raise
            meaning = replace(known, fresh_until=now + self._fresh_s)
        self._drop_revoked(tenant, meaning.digest)
        self._names[name] = meaning
        self._names.move_to_end(name)
        if len(self._names) > _MOST_NAMES:
            self._names.popitem(last=False)
        return meaning

    def _meaning(self, version: int, digest: str | None, size: int, asked: float) -> _Meaning:
        fresh_until = asked + self._fresh_s
        return _Meaning(
            version=version,
            digest=digest,
            size=size,
            fresh_until=fresh_until,
            usable_until=fresh_until + self._grace_s,
        )

    def _drop_revoked(self, tenant: str, digest: str | None) -> None:
        loaded = next((m for m in self._cache.models if m.tenant == tenant and m.digest == digest), None)
        if loaded is None:
            return
        policy = self._trust.policy(tenant)
        trusted = {key.key_id for key in policy.keys} - policy.revoked_keys
        if loaded.key_id not in trusted or not policy.revoked_digests.isdisjoint(loaded.covered):
            self._cache.evict((tenant, loaded.digest))

    async def _load(self, tenant: str, model: str, meaning: _Meaning) -> LoadedModel:
        if meaning.size > self._cache.capacity:
            raise _too_large(model, meaning, self._cache.capacity)
        async with self._loads:
            loaded = await self._fetched(tenant, model, meaning)
        if loaded.digest != meaning.digest:
            self._cache.discard(loaded)
            raise SignatureError(
                ErrorCode.SUBJECT_MISMATCH,
                f"The registry sent bundle {loaded.digest} for {model}@{meaning.version}; it had named {meaning.digest}.",
            )
        return loaded

    async def _fetched(self, tenant: str, model: str, meaning: _Meaning) -> LoadedModel:
        policy = self._trust.policy(tenant)
        subject = Subject(tenant=tenant, model=model, version=meaning.version)
        scratch = await asyncio.to_thread(
            partial(tempfile.TemporaryDirectory[str], prefix="furoshiki-", dir=self._scratch)
        )
        try:
            folder = Path(scratch.name) / "bundle"
            await self._gateway.download(tenant, model, meaning.version, folder)
            device = self._loader.device
            tuning = None
            if device is not None:
                tuning = await self._gateway.tuning(tenant, model, meaning.version, device=device)
            return await self._loader.load(DirectorySource(folder), subject=subject, policy=policy, tuning=tuning)
        finally:
            # Not awaited: a load that is given up while it waits here would leave its model open.
            asyncio.get_running_loop().run_in_executor(None, scratch.cleanup)


def _too_large(model: str, meaning: _Meaning, capacity: int) -> InvalidRequest:
    return InvalidRequest(
        ErrorCode.TOO_LARGE,
        f"{model}@{meaning.version} has {meaning.size} bytes; this service keeps at most {capacity} bytes of models. "
        "Its operator can raise FUROSHIKI_CACHE__BYTES.",
        details={"size": meaning.size, "limit": capacity},
    )
