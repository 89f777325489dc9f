# SPDX-License-Identifier: Apache-2.0
"""What callers may see and change of their models, whatever the catalog."""

from __future__ import annotations

from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio

from artifacts.testing import refused
from core.errors import ErrorCode
from runners.cache import LoadedModel
from runners.testing import FakeRunner, request_of
from services.dataplane.catalog.bundle import BundleCatalog
from services.dataplane.repository import Repository
from services.edge.context import Principal
from services.testing import MODEL, TENANT, VERSION, loaded

ME, RIVAL = (Principal(tenant=tenant, key_id="k") for tenant in (TENANT, "globex"))


@pytest_asyncio.fixture
async def catalog() -> AsyncIterator[BundleCatalog]:
    async def reload() -> LoadedModel:
        return loaded(FakeRunner())

    made = BundleCatalog(loaded(FakeRunner()), reload=reload)
    yield made
    await made.close()


async def test_index_and_readiness(catalog: BundleCatalog) -> None:
    """A model is ready while it is loaded, and then listed among the ready ones."""
    repository = Repository(catalog, control=True)
    assert await repository.model_ready(ME, MODEL, None)
    assert [state.name for state in await repository.index(ME, ready_only=True)] == [MODEL]
    await repository.unload(ME, MODEL)
    assert not await repository.model_ready(ME, MODEL, VERSION)
    assert await repository.index(ME, ready_only=True) == []
    assert [state.state for state in await repository.index(ME, ready_only=False)] == ["UNAVAILABLE"]
    await repository.load(ME, MODEL)
    assert await repository.model_ready(ME, MODEL, None)


async def test_a_runner_that_is_gone(catalog: BundleCatalog) -> None:
    """A model whose runner does not run now is listed, and is not ready."""
    repository = Repository(catalog, control=False)
    await catalog.loaded(ME)[0].handle.close()
    (state,) = await repository.index(ME, ready_only=False)
    assert (state.state, state.reason) == ("UNAVAILABLE", "its runner is not running now")
    assert not await repository.model_ready(ME, MODEL, None)


async def test_without_control(catalog: BundleCatalog) -> None:
    """Where callers may not change what is loaded, nothing changes, not even for what they do not have."""
    repository = Repository(catalog, control=False)
    for change in (repository.load, repository.unload):
        for principal, model in ((ME, MODEL), (ME, "other"), (RIVAL, MODEL)):
            with refused(ErrorCode.AUTH_FORBIDDEN, "FUROSHIKI_REPOSITORY__CONTROL"):
                await change(principal, model)
    assert await catalog.ready()


async def test_a_rival_sees_nothing(catalog: BundleCatalog) -> None:
    """Another tenant's model is neither listed nor counted, and its name means nothing."""
    repository = Repository(catalog, control=True)
    assert await repository.index(RIVAL, ready_only=False) == []
    assert await repository.statistics(RIVAL, None, None) == []
    for ask in (
        repository.statistics(RIVAL, MODEL, None),
        repository.model_ready(RIVAL, MODEL, None),
        repository.versions(RIVAL, MODEL),
        repository.load(RIVAL, MODEL),
        repository.unload(RIVAL, MODEL),
    ):
        with refused(ErrorCode.MODEL_NOT_FOUND):
            await ask


@pytest.mark.parametrize(("model", "version"), [(None, None), (MODEL, None), (MODEL, VERSION)])
async def test_statistics(catalog: BundleCatalog, model: str | None, version: str | None) -> None:
    """What a loaded model did is counted under its name and version."""
    repository = Repository(catalog, control=True)
    loaded_model = await catalog.acquire(ME, MODEL, None)
    await loaded_model.handle.infer(request_of({"x": np.zeros((3, 2), np.float32)}))
    ((name, number, counted),) = await repository.statistics(ME, model, version)
    assert (name, number, counted.success.count, counted.inference_count) == (MODEL, VERSION, 1, 3)


async def test_statistics_of_what_is_not_loaded(catalog: BundleCatalog) -> None:
    """A model that is not loaded counts nothing; one that does not exist is not found."""
    repository = Repository(catalog, control=True)
    await repository.unload(ME, MODEL)
    ((name, number, counted),) = await repository.statistics(ME, MODEL, None)
    assert (name, number, counted.success.count) == (MODEL, VERSION, 0)
    assert await repository.statistics(ME, None, None) == []
    with refused(ErrorCode.MODEL_NOT_FOUND):
        await repository.statistics(ME, MODEL, "9")
