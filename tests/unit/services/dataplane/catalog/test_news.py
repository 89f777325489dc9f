# SPDX-License-Identifier: Apache-2.0
"""News of the registry: what a name meant is forgotten."""

from __future__ import annotations

import asyncio

import pytest

from core.errors import ModelError
from tests.unit.services.dataplane.catalog.conftest import ACME, DOWN, Setting


@pytest.mark.parametrize("tenant", ["acme", "*"])
async def test_what_a_name_means_is_forgotten_with_the_news(setting: Setting, tenant: str) -> None:
    """The next request looks, in a listing, too; without news nobody would for fresh_s."""
    setting.bundle(2, version=1)
    assert await setting.infer() == 2
    assert await setting.catalog.versions(ACME, "digits") == ["1"]
    setting.bundle(3, version=2)
    assert await setting.infer() == 2
    setting.catalog.forget(tenant)
    assert await setting.infer() == 3
    assert await setting.catalog.versions(ACME, "digits") == ["1", "2"]


async def test_a_deleted_version_is_served_no_more_from_the_news_on(setting: Setting) -> None:
    """Although it is loaded: by its number it is MODEL_001, by the name the next one answers, and restored it is served."""
    setting.bundle(2, version=1)
    deleted = setting.bundle(3, version=2)
    assert (await setting.infer(), await setting.infer(version="2")) == (3, 3)
    del setting.remote.bundles["acme", "digits"][2]
    setting.catalog.forget("acme")
    assert setting.catalog.lease(ACME, "digits", "2") is None
    with pytest.raises(ModelError, match="MODEL_001"):
        await setting.infer(version="2")
    assert await setting.infer() == 2
    setting.remote.put(deleted)
    setting.catalog.forget("acme")
    assert (await setting.infer(), await setting.infer(version="2")) == (3, 3)


async def test_news_of_one_tenant_are_none_of_another(setting: Setting) -> None:
    """What others do costs a tenant no question."""
    setting.bundle(2)
    await setting.infer()
    setting.catalog.forget("globex")
    await setting.infer()
    assert setting.remote.asked == [("acme", "digits", None)]


async def test_an_answer_from_before_the_news_is_not_remembered(setting: Setting) -> None:
    """A change that is told while the registry is being asked: that answer may be of before, so the next request asks."""
    setting.bundle(2, version=1)
    setting.remote.open.clear()
    asking = asyncio.create_task(setting.infer())
    while not setting.remote.asked:
        await asyncio.sleep(0)
    setting.catalog.forget("acme")
    setting.remote.open.set()
    assert await asking == 2
    setting.bundle(3, version=2)
    assert await setting.infer() == 3


async def test_news_do_not_take_what_is_known_while_the_registry_is_away(setting: Setting) -> None:
    """What a name meant stays in use for grace_s."""
    setting.bundle(2)
    await setting.infer()
    setting.remote.away = DOWN
    setting.catalog.forget("acme")
    assert await setting.infer() == 2
