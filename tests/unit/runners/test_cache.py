# SPDX-License-Identifier: Apache-2.0
"""The cache's rules, one test each, with handles that note what is done to them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from core.errors import ErrorCode, SignatureError, Unavailable
from core.inference import InferenceRequest
from core.tensors import Array, Signature
from runners.batching.waiting import Ticket
from runners.batching.work import Done
from runners.cache import LoadedModel, ModelCache
from runners.statistics import ModelStatistics


class NotingHandle:
    """A handle that computes nothing and tells whether it was drained and how often it was closed."""

    runner = "noting"
    signature = Signature(inputs=(), outputs=())

    def __init__(self) -> None:
        self.drained = False
        self.closed = 0

    ready = True

    def submit(self, request: InferenceRequest, done: Done) -> Ticket:
        raise AssertionError("nothing is submitted here")

    async def infer(self, request: InferenceRequest) -> dict[str, Array]:
        return {}

    def statistics(self) -> ModelStatistics:
        return ModelStatistics()

    async def drain(self) -> None:
        self.drained = True

    async def close(self) -> None:
        self.closed += 1


class Source:
    """Loads models of given sizes; ``held`` keeps loads waiting, ``error`` makes them fail."""

    def __init__(self) -> None:
        self.loads: list[str] = []
        self.handles: dict[str, NotingHandle] = {}
        self.held = asyncio.Event()
        self.held.set()
        self.error: Exception | None = None

    def loader(self, digest: str, size: int = 1) -> Callable[[], Awaitable[LoadedModel]]:
        async def load() -> LoadedModel:
            self.loads.append(digest)
            await self.held.wait()
            if self.error is not None:
                raise self.error
            handle = self.handles[digest] = NotingHandle()
            return LoadedModel(
                tenant="acme",
                model="m",
                version="1",
                digest=digest,
                key_id="k",
                size=size,
                handle=handle,
                output_dtypes={},
            )

        return load

    async def used(self, cache: ModelCache, digest: str, size: int = 1) -> LoadedModel:
        """Acquires and releases."""
        model = await cache.acquire(("acme", digest), self.loader(digest, size))
        cache.release(model)
        return model


@pytest.fixture
async def source() -> Source:
    return Source()


@pytest.fixture
def cache() -> ModelCache:
    return ModelCache(capacity=10)


async def turns(count: int = 5) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def digests(cache: ModelCache) -> list[str]:
    return [model.digest for model in cache.models]


async def test_a_model_is_loaded_once_for_all_who_ask(source: Source, cache: ModelCache) -> None:
    """Twenty requests at the same time: one load, one model, twenty leases."""
    models = await asyncio.gather(*(cache.acquire(("acme", "a"), source.loader("a")) for _ in range(20)))
    assert source.loads == ["a"]
    assert len({id(model) for model in models}) == 1
    assert models[0].leases == 20


async def test_tenants_do_not_share(source: Source, cache: ModelCache) -> None:
    """The same digest of two tenants is two models."""
    mine = await cache.acquire(("acme", "a"), source.loader("a"))
    theirs = await cache.acquire(("globex", "a"), source.loader("a"))
    assert mine is not theirs


async def test_the_least_recently_used_goes_first(source: Source, cache: ModelCache) -> None:
    """Room is made by bytes, oldest use first, and no more than needed."""
    for digest in "abc":
        await source.used(cache, digest, size=3)
    await source.used(cache, "a", size=3)
    await source.used(cache, "d", size=4)
    await turns()
    assert digests(cache) == ["c", "a", "d"]
    assert cache.size == 10
    assert source.handles["b"].closed == 1
    assert source.handles["c"].closed == 0


async def test_a_leased_model_is_never_closed(source: Source, cache: ModelCache) -> None:
    """The bound is exceeded rather than a model in use closed; a later load makes the room."""
    leased = await cache.acquire(("acme", "a"), source.loader("a", 8))
    await source.used(cache, "b", size=8)
    await turns()
    assert digests(cache) == ["a", "b"]
    cache.release(leased)
    await source.used(cache, "c", size=2)
    await turns()
    assert digests(cache) == ["b", "c"]
    assert source.handles["a"].closed == 1


async def test_a_model_larger_than_the_cache_is_served(source: Source, cache: ModelCache) -> None:
    """The model that was just asked for stays, whatever its size."""
    await source.used(cache, "a", size=1)
    await source.used(cache, "big", size=100)
    assert digests(cache) == ["big"]


async def test_eviction_while_leased_closes_with_the_last_lease(source: Source, cache: ModelCache) -> None:
    """An evicted model answers its current users, is closed once with the last, and the next request loads it anew."""
    first = await cache.acquire(("acme", "a"), source.loader("a"))
    await cache.acquire(("acme", "a"), source.loader("a"))
    cache.evict(("acme", "a"))
    cache.evict(("acme", "a"))
    cache.release(first)
    await turns()
    handle = source.handles["a"]
    assert handle.closed == 0
    again = await cache.acquire(("acme", "a"), source.loader("a"))
    assert again is not first
    cache.release(first)
    await turns()
    assert handle.closed == 1
    assert source.handles["a"].closed == 0


async def test_a_failure_is_not_remembered(source: Source, cache: ModelCache) -> None:
    """Everybody who waited gets the error; the next request tries again."""
    source.error = SignatureError(ErrorCode.DIGEST_MISMATCH, "Not the signed file.")
    results = await asyncio.gather(
        *(cache.acquire(("acme", "a"), source.loader("a")) for _ in range(3)), return_exceptions=True
    )
    assert results == [source.error] * 3
    source.error = None
    await source.used(cache, "a")
    assert source.loads == ["a", "a"]


async def test_a_cancelled_waiter_disturbs_nobody(source: Source, cache: ModelCache) -> None:
    """The one who began the load goes away: the load goes on and the other waiter gets the model, with one lease."""
    source.held.clear()
    first, second = (asyncio.ensure_future(cache.acquire(("acme", "a"), source.loader("a"))) for _ in range(2))
    await turns()
    first.cancel()
    await turns()
    source.held.set()
    model = await second
    assert (source.loads, model.leases, first.cancelled()) == (["a"], 1, True)


async def test_a_load_nobody_waits_for_ends_quietly(source: Source, cache: ModelCache) -> None:
    """When every waiter has gone a failing load is forgotten without a complaint of the loop."""
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    source.held.clear()
    source.error = SignatureError(ErrorCode.DIGEST_MISMATCH, "Not the signed file.")
    waiter = asyncio.ensure_future(cache.acquire(("acme", "a"), source.loader("a")))
    await turns()
    waiter.cancel()
    source.held.set()
    await turns()
    assert complaints == []
    assert cache.models == []


async def test_evicting_what_is_being_loaded_disturbs_nobody(source: Source, cache: ModelCache) -> None:
    """There is nothing to take out yet: the load ends and its waiter gets the model."""
    source.held.clear()
    waiter = asyncio.ensure_future(cache.acquire(("acme", "a"), source.loader("a")))
    await turns()
    cache.evict(("acme", "a"))
    source.held.set()
    model = await waiter
    assert (model.evicted, digests(cache)) == (False, ["a"])


async def test_evicted_before_its_waiter_wakes(source: Source, cache: ModelCache) -> None:
    """A model taken out between the end of its load and its waiter's turn is loaded again, not handed out closed."""
    source.held.clear()
    waiter = asyncio.ensure_future(cache.acquire(("acme", "a"), source.loader("a")))
    await turns()
    source.held.set()
    while not cache.models:
        await asyncio.sleep(0)
    closed = source.handles["a"]
    cache.evict(("acme", "a"))
    model = await waiter
    assert model.handle is not closed
    assert (source.loads, model.leases) == (["a", "a"], 1)


async def test_close_drains_and_closes_everything(source: Source, cache: ModelCache) -> None:
    """Close ends every model once and leaves none."""
    for digest in "ab":
        await source.used(cache, digest)
    await cache.close()
    assert [(handle.drained, handle.closed) for handle in source.handles.values()] == [(True, 1)] * 2
    assert cache.models == []


async def test_close_gives_up_what_is_being_loaded(source: Source, cache: ModelCache) -> None:
    """A load that is under way is cancelled; its waiters get a retryable error and no model is left open."""
    source.held.clear()
    waiter = asyncio.ensure_future(cache.acquire(("acme", "a"), source.loader("a")))
    await turns()
    await cache.close()
    with pytest.raises(Unavailable) as caught:
        await waiter
    assert caught.value.code is ErrorCode.MODEL_NOT_READY
    source.held.set()
    await turns()
    assert cache.models == []
    assert source.handles == {}


async def test_each_close_is_told_once(source: Source) -> None:
    """Evicted, evicted while leased, discarded or closed with the cache: ``on_close`` hears of each model once."""
    told: list[str] = []
    cache = ModelCache(capacity=10, on_close=lambda model: told.append(model.digest))
    for digest in "abc":
        await source.used(cache, digest)
    cache.evict(("acme", "a"))
    leased = await cache.acquire(("acme", "b"), source.loader("b"))
    cache.evict(("acme", "b"))
    assert told == ["a"]
    cache.release(leased)
    assert told == ["a", "b"]
    cache.discard(await source.loader("d")())
    await cache.close()
    assert told == ["a", "b", "d", "c"]
    assert [handle.closed for handle in source.handles.values()] == [1] * 4


async def test_close_does_not_wait_for_ever(source: Source, cache: ModelCache) -> None:
    """A model that does not drain in time is closed anyway, with its lease."""
    leased = await cache.acquire(("acme", "a"), source.loader("a"))
    handle = source.handles["a"]
    handle.drain = asyncio.Event().wait  # type: ignore[method-assign, assignment]
    async with asyncio.timeout(5):
        await cache.close(drain_s=0.01)
    assert (handle.closed, cache.models) == (1, [])
    cache.release(leased)
    await turns()
    assert handle.closed == 2
