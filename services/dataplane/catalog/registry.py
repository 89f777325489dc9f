# SPDX-License-Identifier: Apache-2.0
"""Models of every tenant, found through the registry and loaded on first use.

What a name means is remembered for a few seconds, absence included; while the registry cannot be reached, what was
known stays in use for ``grace_s``, and the registry is asked again only every few seconds. A loaded model is held
against the tenant's policy each time its name is looked up anew, whether the registry answers or not: it leaves the cache
when its key is no longer trusted or anything it was made of was revoked.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import OrderedDict
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final, TypeAlias

from artifacts.keys.file import FileTrust
from artifacts.signing.policy import Subject
from artifacts.source import DirectorySource
from core.clock import Clock
from core.errors import ErrorCode, InvalidRequest, ModelError, SignatureError, Unavailable
from core.refs import parse_name, parse_version
from runners.cache import LoadedModel, ModelCache
from services.dataplane.catalog.interface import not_found
from services.dataplane.loading import ModelLoader
from services.dataplane.registry import RegistryGateway
from services.edge.context import Principal

_MOST_NAMES: Final = 10_000

_Name: TypeAlias = tuple[str, str, str | None]  # tenant, model, version as asked


@dataclass(frozen=True, slots=True, kw_only=True)
class _Meaning:
    version: int
    digest: str | None  # None: there is no such model
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
    ) -> None:
        self._gateway = gateway
        self._trust = trust
        self._loader = loader
        self._cache = cache
        self._clock = clock
        self._fresh_s = fresh_s
        self._grace_s = grace_s
        self._names: OrderedDict[_Name, _Meaning] = OrderedDict()
        self._asking: dict[_Name, asyncio.Task[_Meaning]] = {}
        self._closed = False
        self.release = cache.release

    async def acquire(self, principal: Principal, model: str, version: str | None) -> LoadedModel:
        name = (principal.tenant, model, version)
        meaning = self._names.get(name)
        if meaning is None or meaning.fresh_until <= self._clock.monotonic():
            meaning = await self._refresh(name, _number(model, version))
        if meaning.digest is None:
            raise not_found(model, version)
        key = (principal.tenant, meaning.digest)
        return await self._cache.acquire(key, partial(self._load, principal.tenant, model, meaning))

    async def ready(self) -> bool:
        return not self._closed

    async def close(self) -> None:
        self._closed = True
        await self._cache.close()
        await self._gateway.close()

    async def _refresh(self, name: _Name, number: int | None) -> _Meaning:
        task = self._asking.get(name)
        if task is None:
            task = self._asking[name] = asyncio.ensure_future(self._ask(name, number))
            task.add_done_callback(lambda _: self._asking.pop(name, None))
        return await asyncio.shield(task)

    async def _ask(self, name: _Name, number: int | None) -> _Meaning:
        tenant, model, _ = name
        asked = self._clock.monotonic()
        try:
            found = await self._gateway.resolve(tenant, model, number)
            meaning = self._meaning(found.version, found.digest, asked)
        except ModelError:
            meaning = self._meaning(0, None, asked)
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

    def _meaning(self, version: int, digest: str | None, asked: float) -> _Meaning:
        fresh_until = asked + self._fresh_s
        return _Meaning(
            version=version, digest=digest, fresh_until=fresh_until, usable_until=fresh_until + self._grace_s
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
        policy = self._trust.policy(tenant)
        subject = Subject(tenant=tenant, model=model, version=meaning.version)
        with tempfile.TemporaryDirectory(prefix="furoshiki-") as scratch:
            folder = Path(scratch) / "bundle"
            await self._gateway.download(tenant, model, meaning.version, folder)
            loaded = await self._loader.load(DirectorySource(folder), subject=subject, policy=policy)
        if loaded.digest != meaning.digest:
            await loaded.handle.close()
            raise SignatureError(
                ErrorCode.SUBJECT_MISMATCH,
                f"The registry sent bundle {loaded.digest} for {model}@{meaning.version}; it had named {meaning.digest}.",
            )
        return loaded


def _number(model: str, version: str | None) -> int | None:
    """The version asked for. An illegal name names nothing; it is neither asked about nor remembered."""
    try:
        parse_name(model, what="model")
        return None if version is None else parse_version(version)
    except InvalidRequest:
        raise not_found(model, version) from None
