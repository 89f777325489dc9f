# SPDX-License-Identifier: Apache-2.0
"""The catalog of a Bento of one variant."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest

from artifacts.testing import refused
from core.errors import ErrorCode, FuroshikiError, Unavailable
from core.tensors import Array
from runners.cache import LoadedModel
from runners.testing import FakeRunner, request_of
from services.dataplane.catalog.bundle import BundleCatalog
from services.edge.context import Principal
from services.testing import MODEL, TENANT, VERSION, loaded

ME = Principal(tenant=TENANT, key_id="k")


async def test_its_one_model() -> None:
    """By name, with or without its version."""
    model = loaded(FakeRunner())
    catalog = BundleCatalog(model)
    for version in (None, VERSION):
        assert await catalog.acquire(ME, MODEL, version) is model
    await catalog.close()


@pytest.mark.parametrize(
    ("principal", "model", "version"),
    [
        (ME, "other", None),
        (ME, MODEL, "4"),
        (ME, MODEL, "03"),
        (ME, MODEL, ""),
        (Principal(tenant="globex", key_id="k"), MODEL, VERSION),
    ],
    ids=["name", "version", "spelling", "empty", "tenant"],
)
async def test_nothing_else_exists(principal: Principal, model: str, version: str | None) -> None:
    """Any other name, version or tenant is told that it does not exist."""
    catalog = BundleCatalog(loaded(FakeRunner()))
    with refused(ErrorCode.MODEL_NOT_FOUND):
        await catalog.acquire(principal, model, version)
    await catalog.close()


async def test_close_ends_the_model() -> None:
    """After close the service is not ready and the model computes no more."""
    runner = FakeRunner()
    catalog = BundleCatalog(loaded(runner))
    assert await catalog.ready()
    model = await catalog.acquire(ME, MODEL, None)
    await catalog.close()
    assert not await catalog.ready()
    assert runner.closed
    with pytest.raises(Unavailable):
        await model.handle.infer(request_of({}))


class Reloading:
    """A catalog whose model can be loaded again, and what happened to it."""

    def __init__(self) -> None:
        self.runners = [FakeRunner()]
        self.closed: list[LoadedModel] = []
        self.may_load = asyncio.Event()
        self.may_load.set()
        self.catalog = BundleCatalog(loaded(self.runners[0]), reload=self.reload, on_close=self.closed.append)

    async def reload(self) -> LoadedModel:
        self.runners.append(FakeRunner())
        await self.may_load.wait()
        return loaded(self.runners[-1])

    async def unloading(self) -> tuple[asyncio.Future[dict[str, Array]], asyncio.Future[None]]:
        """A request that is being executed, and an unloading of its model that has begun."""
        model = await self.catalog.acquire(ME, MODEL, None)
        self.runners[0].gate.clear()
        waiting = asyncio.ensure_future(model.handle.infer(request_of({"x": np.zeros((1, 2), np.float32)})))
        while not self.runners[0].batches:
            await asyncio.sleep(0)
        unloading = asyncio.ensure_future(self.catalog.unload(ME, MODEL))
        await asyncio.sleep(0)
        return waiting, unloading

    async def states(self, principal: Principal = ME) -> list[str]:
        return [state.state for state in await self.catalog.index(principal)]


async def test_unload_and_load() -> None:
    """Unloaded, the memory is given back and a request does not bring the model back; loaded, it is another one."""
    made = Reloading()
    first = await made.catalog.acquire(ME, MODEL, None)
    await made.catalog.unload(ME, MODEL)
    assert (made.runners[0].closed, made.closed) == (True, [first])
    assert (await made.catalog.ready(), made.catalog.loaded(ME), await made.states()) == (False, [], ["UNAVAILABLE"])
    assert made.catalog.lease(ME, MODEL, None) is None
    with refused(ErrorCode.MODEL_NOT_READY):
        await made.catalog.acquire(ME, MODEL, None)
    await made.catalog.unload(ME, MODEL)
    await asyncio.gather(*(made.catalog.load(ME, MODEL) for _ in range(5)))
    assert (len(made.runners), await made.catalog.ready(), await made.states()) == (2, True, ["READY"])
    assert made.catalog.lease(ME, MODEL, VERSION) is made.catalog.loaded(ME)[0] is not first
    await made.catalog.close()


async def test_unload_lets_requests_end() -> None:
    """A request that was accepted before gets its result; only then is the model closed."""
    made = Reloading()
    waiting, unloading = await made.unloading()
    assert (await made.states(), made.runners[0].closed) == (["UNAVAILABLE"], False)
    made.runners[0].gate.set()
    assert (await waiting)["y"].tolist() == [[1, 1]]
    await unloading
    assert made.runners[0].closed
    await made.catalog.close()


async def test_the_index_while_loading() -> None:
    """A model that is being loaded is LOADING; a rival sees nothing of it."""
    made = Reloading()
    await made.catalog.unload(ME, MODEL)
    made.may_load.clear()
    loading = asyncio.ensure_future(made.catalog.load(ME, MODEL))
    await asyncio.sleep(0)
    assert await made.states() == ["LOADING"]
    assert await made.states(Principal(tenant="globex", key_id="k")) == []
    made.may_load.set()
    await loading
    await made.catalog.close()


async def test_a_close_while_loading() -> None:
    """What is loaded only after the service closed is closed as well."""
    made = Reloading()
    await made.catalog.unload(ME, MODEL)
    made.may_load.clear()
    loading = asyncio.ensure_future(made.catalog.load(ME, MODEL))
    await asyncio.sleep(0)
    await made.catalog.close()
    made.may_load.set()
    await loading
    assert (len(made.closed), made.runners[1].closed, await made.catalog.ready()) == (2, True, False)


async def test_a_close_while_unloading() -> None:
    """A service that stops does not wait for ever for the requests of a model that is being unloaded."""
    made = Reloading()
    model = await made.catalog.acquire(ME, MODEL, None)
    waiting, unloading = await made.unloading()
    async with asyncio.timeout(10):
        await made.catalog.close(drain_s=0.01)
        with pytest.raises(FuroshikiError):
            await waiting
        await unloading
    assert (made.closed, made.runners[0].closed) == ([model], True)


async def test_a_shared_model_is_not_unloaded_here() -> None:
    """A model that another process runs for several is loaded as long as the service is."""
    catalog = BundleCatalog(loaded(FakeRunner()))
    await catalog.load(ME, MODEL)
    with refused(ErrorCode.STATE_CONFLICT):
        await catalog.unload(ME, MODEL)
    assert await catalog.ready()
    await catalog.close()


async def test_names_and_versions() -> None:
    """What the name means, its one version, and nothing for anybody else."""
    made = Reloading()
    assert (await made.catalog.resolve(ME, MODEL, None), await made.catalog.versions(ME, MODEL)) == (VERSION, [VERSION])
    for model, version in (("other", None), (MODEL, "9")):
        with refused(ErrorCode.MODEL_NOT_FOUND):
            await made.catalog.resolve(ME, model, version)
    rival = Principal(tenant="globex", key_id="k")
    assert made.catalog.loaded(rival) == []
    for change in (made.catalog.load, made.catalog.unload, made.catalog.versions):
        with refused(ErrorCode.MODEL_NOT_FOUND):
            await change(rival, MODEL)
    await made.catalog.close()
