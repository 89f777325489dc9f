# SPDX-License-Identifier: Apache-2.0
"""Loaded models, leased: least recently used first out, bounded by bytes.

Rules. A model is loaded once however many requests ask for it at the same time. A leased model is never closed: when it is
evicted or replaced, it is closed with its last lease. The bound counts the bytes of the verified files and may be exceeded
only by models that are in use.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias

from core.deprecation import Notice
from core.errors import ErrorCode, Unavailable
from core.telemetry import metrics
from core.tensors import DType
from runners.handle import RunnerHandle

CacheKey: TypeAlias = tuple[str, str]  # tenant, manifest digest


@dataclass(slots=True, eq=False, kw_only=True)
class LoadedModel:
    """A verified, loaded model. ``leases`` and ``evicted`` belong to the cache."""

    tenant: str
    model: str
    version: str
    digest: str
    key_id: str  # the key whose signature was verified
    size: int  # bytes of its files
    covered: frozenset[str] = frozenset()  # digests whose revocation ends it: its own, its parent's, its files'
    handle: RunnerHandle
    output_dtypes: Mapping[str, DType]
    notice: Notice | None = None  # what callers are told; the catalog keeps it current
    leases: int = field(default=0)
    evicted: bool = field(default=False)
    label: str = field(init=False)  # for messages

    def __post_init__(self) -> None:
        self.label = f"{self.model}@{self.version}"


class ModelCache:
    """Loaded models by tenant and digest.

    Args:
        capacity: Bytes of model files kept.
        on_close: Told of each model once, when it is closed.
    """

    def __init__(self, *, capacity: int, on_close: Callable[[LoadedModel], None] | None = None) -> None:
        self.capacity = capacity
        self._on_close = on_close
        self._models: OrderedDict[CacheKey, LoadedModel] = OrderedDict()
        self._loading: dict[CacheKey, asyncio.Task[LoadedModel]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    @property
    def models(self) -> list[LoadedModel]:
        """The loaded models, least recently used first."""
        return list(self._models.values())

    @property
    def loading(self) -> frozenset[CacheKey]:
        """What is being loaded."""
        return frozenset(self._loading)

    @property
    def size(self) -> int:
        """Bytes of the loaded models' files."""
        return sum(model.size for model in self._models.values())

    async def acquire(self, key: CacheKey, load: Callable[[], Awaitable[LoadedModel]]) -> LoadedModel:
        """Leases a model, loading it first if needed. Each ``acquire`` wants one ``release``.

        Args:
            key: Tenant and digest.
            load: Makes the model; called at most once at a time per key, and not cancelled with one of its waiters.

        Raises:
            FuroshikiError: What ``load`` raised, to everybody who waited for it. A failure is not remembered.
            Unavailable: ``MODEL_002`` if the cache is closed meanwhile.
        """
        model = self._models.get(key)
        while model is None:
            task = self._loading.get(key)
            if task is None:
                task = self._loading[key] = asyncio.ensure_future(self._load(key, load))
                task.add_done_callback(partial(self._loaded, key))
            try:
                await asyncio.shield(task)
            except asyncio.CancelledError:
                if task.cancelled():
                    raise Unavailable(ErrorCode.MODEL_NOT_READY, "The service is ending.", retry_after=1.0) from None
                raise
            model = self._models.get(key)
        model.leases += 1
        self._models.move_to_end(key)
        return model

    def lease(self, key: CacheKey) -> LoadedModel | None:
        """Leases a model that is loaded; None if it is not. Each lease wants one ``release``."""
        model = self._models.get(key)
        if model is not None:
            model.leases += 1
            self._models.move_to_end(key)
        return model

    def release(self, model: LoadedModel) -> None:
        """Ends one lease; closes the model if it was evicted meanwhile and this was the last."""
        model.leases -= 1
        if model.evicted and not model.leases:
            self._close(model)

    def evict(self, key: CacheKey) -> None:
        """Takes a model out; it is closed at once or with its last lease."""
        model = self._models.pop(key, None)
        if model is not None:
            model.evicted = True
            metrics.CACHE_BYTES.set(self.size)
            if not model.leases:
                self._close(model)

    def discard(self, model: LoadedModel) -> None:
        """Closes a model that was loaded and is not wanted; it was never handed to ``acquire``."""
        self._close(model)

    async def close(self, *, drain_s: float | None = None) -> None:
        """Gives up what is being loaded, drains and closes every model and waits for it.

        Args:
            drain_s: Seconds accepted requests have to end; those that have not ended then fail. None: as long as they take.
        """
        for task in self._loading.values():
            task.cancel()
        await asyncio.gather(*self._loading.values(), return_exceptions=True)
        await drain(self.models, drain_s)
        await asyncio.gather(*(model.handle.close() for model in self.models if model.leases))
        for key in list(self._models):
            self.evict(key)
        await asyncio.gather(*self._closing)

    async def _load(self, key: CacheKey, load: Callable[[], Awaitable[LoadedModel]]) -> LoadedModel:
        model = await load()
        self._models[key] = model
        self._make_room(keep=key)
        metrics.CACHE_BYTES.set(self.size)
        return model

    def _loaded(self, key: CacheKey, task: asyncio.Task[LoadedModel]) -> None:
        del self._loading[key]
        if not task.cancelled():
            task.exception()  # seen, even when every waiter has gone

    def _make_room(self, *, keep: CacheKey) -> None:
        for key, model in list(self._models.items()):
            if self.size <= self.capacity:
                return
            if key != keep and not model.leases:
                self.evict(key)

    def _close(self, model: LoadedModel) -> None:
        if self._on_close is not None:
            self._on_close(model)
        task = asyncio.ensure_future(model.handle.close())
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


async def drain(models: Iterable[LoadedModel], within_s: float | None) -> None:
    """Drains models together; returns when all have, or after ``within_s`` seconds."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            await asyncio.gather(*(model.handle.drain() for model in models))
