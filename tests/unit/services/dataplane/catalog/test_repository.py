# SPDX-License-Identifier: Apache-2.0
"""The index of models, loading and unloading by request, and what metrics tell of it."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from prometheus_client import REGISTRY

from artifacts.digest import digest_bytes
from artifacts.testing import Bundle, refused
from core.errors import ErrorCode, Unavailable
from runners.testing import request_of
from tests.unit.services.dataplane.catalog.conftest import ACME, FRESH, GLOBEX, Setting


def info(bundle: Bundle) -> float | None:
    """``furoshiki_model_info`` of a bundle."""
    manifest = bundle.manifest
    labels = {
        "tenant": manifest.tenant,
        "model": manifest.model,
        "version": str(manifest.version),
        "digest": manifest.digest,
        "key_id": bundle.signer.key_id,
        "runner": "onnx-cpu",
    }
    return REGISTRY.get_sample_value("furoshiki_model_info", labels)


async def test_model_info_tells_what_is_loaded(setting: Setting) -> None:
    """1 while the model is loaded, a copy that is still in use after a reload included; 0 when the last copy has gone."""
    bundle = setting.bundle(2)
    old = await setting.catalog.acquire(ACME, "digits", None)
    assert info(bundle) == 1
    setting.cache.evict(("acme", bundle.manifest.digest))
    new = await setting.catalog.acquire(ACME, "digits", None)
    assert new is not old
    setting.catalog.release(old)
    assert info(bundle) == 1
    setting.catalog.release(new)
    setting.cache.evict(("acme", bundle.manifest.digest))
    assert info(bundle) == 0


async def test_a_refused_load_is_not_in_model_info(setting: Setting) -> None:
    """A bundle that is not the one the registry had named was loaded for nothing, and is gone."""
    bundle = setting.bundle(2)
    setting.remote.named[bundle.manifest.digest] = digest_bytes(b"another")
    with refused(ErrorCode.SUBJECT_MISMATCH):
        await setting.infer()
    assert info(bundle) == 0


async def test_the_index(setting: Setting) -> None:
    """Each model with the version its name means, what is loaded besides, and for everybody only its own."""
    setting.bundle(2, version=1)
    setting.bundle(3, version=2)
    setting.bundle(5, model="wine")
    setting.bundle(7, tenant="globex", model="secret")
    setting.remote.bundles["acme", "empty"] = {}
    await setting.infer(version="1")
    states = [(s.name, s.version, s.state, s.reason) for s in await setting.catalog.index(ACME)]
    on_demand = "not loaded; the first request loads it"
    assert states == [
        ("digits", "1", "READY", ""),
        ("digits", "2", "UNAVAILABLE", on_demand),
        ("empty", "", "UNAVAILABLE", "no version is registered"),
        ("wine", "1", "UNAVAILABLE", on_demand),
    ]
    assert [s.name for s in await setting.catalog.index(GLOBEX)] == ["secret"]


async def test_the_index_while_loading(setting: Setting) -> None:
    """What is being fetched is LOADING."""
    setting.bundle(2)
    setting.remote.line.clear()
    loading = asyncio.ensure_future(setting.catalog.load(ACME, "digits"))
    while not setting.remote.downloads:
        await asyncio.sleep(0)
    assert [s.state for s in await setting.catalog.index(ACME)] == ["LOADING"]
    setting.remote.line.set()
    await loading
    assert [s.state for s in await setting.catalog.index(ACME)] == ["READY"]


async def test_load_and_unload(setting: Setting) -> None:
    """Load warms the cache, unload empties it of every version, and a request loads again."""
    setting.bundle(2, version=1)
    setting.bundle(3, version=2)
    setting.bundle(5, tenant="globex")
    await setting.infer(GLOBEX)
    await setting.infer(version="1")
    await setting.catalog.load(ACME, "digits")
    await setting.catalog.load(ACME, "digits")
    assert [m.version for m in setting.catalog.loaded(ACME)] == ["1", "2"]
    await setting.catalog.unload(ACME, "digits")
    assert setting.catalog.loaded(ACME) == []
    assert len(setting.catalog.loaded(GLOBEX)) == 1
    await setting.catalog.unload(ACME, "digits")
    assert await setting.infer() == 3


async def test_unload_spares_requests_under_way(setting: Setting) -> None:
    """A leased model that is unloaded is closed with its last lease."""
    setting.bundle(2)
    leased = await setting.catalog.acquire(ACME, "digits", None)
    await setting.catalog.unload(ACME, "digits")
    result = await leased.handle.infer(request_of({"x": np.ones((1, 2), dtype=np.float32)}))
    assert result["y"].tolist() == [[2, 2]]
    setting.catalog.release(leased)
    with pytest.raises(Unavailable):
        await leased.handle.infer(request_of({"x": np.ones((1, 2), dtype=np.float32)}))


@pytest.mark.parametrize("model", ["other", "../digits", "secret"])
async def test_changing_what_is_not_there(setting: Setting, model: str) -> None:
    """What the tenant does not have is neither loaded, unloaded nor counted, whoever else has it."""
    setting.bundle(7, tenant="globex", model="secret")
    for change in (setting.catalog.load, setting.catalog.unload, setting.catalog.versions):
        with refused(ErrorCode.MODEL_NOT_FOUND):
            await change(ACME, model)


async def test_versions_and_their_names(setting: Setting) -> None:
    """Versions come oldest first and are asked for once per fresh_s; the name means the newest."""
    for version in (1, 2, 10):
        setting.bundle(version, version=version)
    for _ in range(5):
        assert await setting.catalog.versions(ACME, "digits") == ["1", "2", "10"]
    assert len(setting.remote.asked) == 1
    setting.bundle(3, version=11)
    setting.clock.advance(FRESH)
    assert (await setting.catalog.versions(ACME, "digits"))[-1] == "11"
    assert [await setting.catalog.resolve(ACME, "digits", v) for v in (None, "2")] == ["11", "2"]
