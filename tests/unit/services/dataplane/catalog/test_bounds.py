# SPDX-License-Identifier: Apache-2.0
"""What the catalog holds, asks and loads at once is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from artifacts.coordination.interface import Turn
from artifacts.testing import refused
from core import questions
from core.errors import ErrorCode, InvalidRequest, ModelError, Overloaded
from runners.cache import LoadedModel
from services.dataplane.catalog import listing, names
from tests.unit.services.dataplane.catalog.conftest import ACME, Setting


class OneTurn:
    """Turns that one host has at a time."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.lock = asyncio.Lock()

    @asynccontextmanager
    async def take(self, name: str, *, among: int, wait_s: float) -> AsyncIterator[Turn]:
        self.names.append(f"{name} among {among}")
        async with self.lock:
            yield Turn(1)

    @asynccontextmanager
    async def try_take(self, name: str) -> AsyncIterator[Turn | None]:
        yield None


async def test_one_question_and_one_load_at_a_time(setting: Setting) -> None:
    """Twenty first requests: one question, one download; one that goes away disturbs nobody."""
    setting.bundle(2)
    setting.remote.open.clear()
    tasks = [asyncio.ensure_future(setting.catalog.acquire(ACME, "digits", None)) for _ in range(20)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    tasks[0].cancel()
    setting.remote.open.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    models = [result for result in results if isinstance(result, LoadedModel)]
    assert len(models) == 19
    assert len({id(model) for model in models}) == 1
    assert (len(setting.remote.asked), len(setting.remote.downloads)) == (1, 1)
    assert models[0].leases == 19
    for model in models:
        setting.catalog.release(model)


async def test_what_is_remembered_is_bounded(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound the name that was not looked up for longest is forgotten."""
    monkeypatch.setattr(names, "_MOST_NAMES", 3)
    for n in range(5):
        with refused(ErrorCode.MODEL_NOT_FOUND):
            await setting.infer(model=f"m{n}")
    assert [name[1] for name in setting.catalog._names._known] == ["m2", "m3", "m4"]


async def test_questions_under_way_are_bounded(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound another name gets QUEUE_001 at once; the same name joins the question under way."""
    monkeypatch.setattr(questions, "MOST_QUESTIONS", 2)
    setting.remote.open.clear()
    waiting = [asyncio.ensure_future(setting.infer(model=name)) for name in ("a", "b", "a")]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as caught:
        await setting.infer(model="c")
    assert (caught.value.code, caught.value.retry_after) == (ErrorCode.QUEUE_FULL, 1.0)
    setting.remote.open.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [ModelError] * 3
    assert len(setting.remote.asked) == 2


async def test_few_loads_at_a_time(setting: Setting) -> None:
    """However many models are asked for, two are fetched at once; in the end each is served."""
    for n in range(5):
        setting.bundle(n, model=f"m{n}")
    setting.remote.line.clear()
    waiting = [asyncio.ensure_future(setting.infer(model=f"m{n}")) for n in range(5)]
    async with asyncio.timeout(5):
        while setting.remote.busy < 2:
            await asyncio.sleep(0.001)
    setting.remote.line.set()
    assert await asyncio.gather(*waiting) == [0, 1, 2, 3, 4]
    assert setting.remote.busiest == 2


async def test_a_model_that_cannot_fit_is_not_fetched(setting: Setting) -> None:
    """A version larger than the whole cache is VALID_003 with its size and the setting that decides, before any download."""
    size = setting.bundle(2).manifest.size
    setting.cache.capacity = size - 1
    for _ in range(2):
        with pytest.raises(InvalidRequest, match=rf"has {size} bytes.*FUROSHIKI_CACHE__BYTES") as caught:
            await setting.infer()
        assert caught.value.code is ErrorCode.TOO_LARGE
    assert setting.remote.downloads == []
    setting.cache.capacity = size
    assert await setting.infer() == 2


async def test_nothing_of_a_download_stays(setting: Setting) -> None:
    """A download lies in the scratch folder and is gone after the load, whether it succeeded or failed."""
    setting.bundle(2)
    bad = setting.bundle(3, model="bad")
    bad.files["model.onnx"] = b"damaged"
    await setting.infer()
    with refused(ErrorCode.DIGEST_MISMATCH):
        await setting.infer(model="bad")
    scratch = setting.trusted / "scratch"
    assert [folder.parent.parent for folder in setting.remote.folders] == [scratch] * 2
    async with asyncio.timeout(5):
        while any(scratch.iterdir()):
            await asyncio.sleep(0.001)


async def test_close_ends_everything(setting: Setting) -> None:
    """After close the catalog is not ready, its models and connections are closed."""
    setting.bundle(2)
    await setting.infer()
    assert await setting.catalog.ready()
    await setting.catalog.close()
    assert (await setting.catalog.ready(), setting.cache.models, setting.remote.closed) == (False, [], True)


async def test_listings_are_bounded(setting: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many models are listed, a bounded number of answers is remembered."""
    monkeypatch.setattr(listing, "_MOST_REMEMBERED", 3)
    for number in range(10):
        setting.bundle(2, model=f"m{number}")
        await setting.catalog.versions(ACME, f"m{number}")
    assert len(setting.catalog._listing._known) == 3


async def test_a_model_is_fetched_when_it_is_this_hosts_turn(setting: Setting) -> None:
    """Turns are taken by digest; while another host has it, nothing is downloaded, and a loaded model needs none."""
    bundle, turns = setting.bundle(2), OneTurn()
    setting.catalog._fetcher._turns = turns
    setting.catalog._fetcher._hosts = 3
    await turns.lock.acquire()
    asking = asyncio.create_task(setting.infer())
    while not turns.names:
        await asyncio.sleep(0)
    assert setting.remote.downloads == []
    turns.lock.release()
    assert await asking == 2
    assert await setting.infer() == 2
    assert turns.names == [f"load:acme:{bundle.manifest.digest} among 3"]
