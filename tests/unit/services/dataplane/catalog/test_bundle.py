# SPDX-License-Identifier: Apache-2.0
"""The catalog of a Bento of one variant."""

from __future__ import annotations

import pytest

from artifacts.testing import refused
from core.errors import ErrorCode, Unavailable
from runners.testing import FakeRunner
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
        await model.handle.infer({})
