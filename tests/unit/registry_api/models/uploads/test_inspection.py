# SPDX-License-Identifier: Apache-2.0
"""The inspector: how often, how many at once, and what a failing child means. The child is a function here."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import orjson
import pytest

from artifacts.digest import digest_bytes
from artifacts.manifest import FileEntry
from artifacts.stores.objects import ObjectBlobStore
from core.errors import ErrorCode, ModelError, Overloaded
from registry_api.models.uploads.child import ChildLimits, ChildResult
from registry_api.models.uploads.inspection import InspectionLimits, ModelInspector

TENSOR = {"name": "x", "datatype": "FP32", "shape": [-1, 4]}
ANSWER = orjson.dumps({"inputs": [TENSOR], "outputs": [TENSOR], "precision": "fp32"})


class Child:
    """Stands for the child process: records what it was shown, waits until it may answer."""

    def __init__(self, result: ChildResult | None = None) -> None:
        self.seen: list[bytes] = []
        self.at_once = self.most_at_once = 0
        self.started = asyncio.Semaphore(0)  # released each time a child starts
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self._result = result or ChildResult(status=0, answer=ANSWER, stderr="")

    async def __call__(self, path: Path, limits: ChildLimits) -> ChildResult:
        self.seen.append(await asyncio.to_thread(path.read_bytes))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        self.started.release()
        await self.may_answer.wait()
        self.at_once -= 1
        if limits.wall_seconds == 0:
            raise TimeoutError
        return self._result


class Bench:
    """An inspector over a real store in memory."""

    def __init__(self, folder: Path, child: Child, *, waiting: int = 100, wall_seconds: float = 5) -> None:
        self.store = ObjectBlobStore.memory()
        self.scratch = folder / "scratch"
        limits = InspectionLimits(
            child=ChildLimits(wall_seconds=wall_seconds, memory_bytes=1), concurrent=2, waiting=waiting, remembered=2
        )
        self.inspector = ModelInspector(self.store, self.scratch, limits, child)

    async def put(self, data: bytes) -> FileEntry:
        async def once() -> AsyncIterator[bytes]:
            yield data

        await self.store.put("acme", once(), digest=digest_bytes(data), size=len(data))
        return FileEntry(path="model.onnx", size=len(data), digest=digest_bytes(data))


async def test_the_same_bytes_are_inspected_once(tmp_path: Path) -> None:
    """Ten callers together and one later share one child; the copy it read is gone."""
    child = Child()
    bench = Bench(tmp_path, child)
    model = await bench.put(b"model")
    found = await asyncio.gather(*(bench.inspector.inspect("acme", model) for _ in range(10)))
    assert await bench.inspector.inspect("acme", model) == found[0]
    assert child.seen == [b"model"]
    assert list(bench.scratch.iterdir()) == []


async def test_answers_are_forgotten_beyond_the_limit(tmp_path: Path) -> None:
    """Of three models two are remembered; the oldest is inspected again."""
    child = Child()
    bench = Bench(tmp_path, child)
    models = [await bench.put(b"%d" % at) for at in range(3)]
    for model in (*models, models[2], models[0]):
        await bench.inspector.inspect("acme", model)
    assert child.seen == [b"0", b"1", b"2", b"0"]


async def test_no_more_children_than_allowed_run_at_once(tmp_path: Path) -> None:
    """Six models, two children."""
    child = Child()
    child.may_answer.clear()
    bench = Bench(tmp_path, child)
    models = [await bench.put(b"%d" % at) for at in range(6)]
    tasks = [asyncio.create_task(bench.inspector.inspect("acme", model)) for model in models]
    for _ in range(2):
        await child.started.acquire()
    child.may_answer.set()
    await asyncio.gather(*tasks)
    assert (child.most_at_once, len(child.seen)) == (2, 6)


async def test_callers_beyond_the_limit_are_told_to_come_back(tmp_path: Path) -> None:
    """QUEUE_001 at once; those who wait get their answer."""
    child = Child()
    child.may_answer.clear()
    bench = Bench(tmp_path, child, waiting=1)
    first, second = await bench.put(b"1"), await bench.put(b"2")
    task = asyncio.create_task(bench.inspector.inspect("acme", first))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as caught:
        await bench.inspector.inspect("acme", second)
    assert (caught.value.code, caught.value.retryable) == (ErrorCode.QUEUE_FULL, True)
    child.may_answer.set()
    assert (await task).precision == "fp32"


@pytest.mark.parametrize(
    ("result", "wall_seconds", "reason"),
    [(ChildResult(status=-11, answer=b"", stderr=""), 5, "signal 11"), (None, 0, "did not finish")],
)
async def test_a_model_that_crashes_or_hangs_the_runtime_is_refused_every_time(
    tmp_path: Path, result: ChildResult | None, wall_seconds: float, reason: str
) -> None:
    """MODEL_003; a failure is not remembered."""
    child = Child(result)
    bench = Bench(tmp_path, child, wall_seconds=wall_seconds)
    model = await bench.put(b"evil")
    for _ in range(2):
        with pytest.raises(ModelError, match=reason) as caught:
            await bench.inspector.inspect("acme", model)
        assert caught.value.code is ErrorCode.MODEL_INVALID
    assert len(child.seen) == 2


async def test_a_caller_who_leaves_does_not_end_the_inspection_for_others(tmp_path: Path) -> None:
    """The second caller gets the answer of the one child."""
    child = Child()
    child.may_answer.clear()
    bench = Bench(tmp_path, child)
    model = await bench.put(b"model")
    leaving, staying = (asyncio.create_task(bench.inspector.inspect("acme", model)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    child.may_answer.set()
    assert (await staying).precision == "fp32"
    assert child.seen == [b"model"]
    await bench.inspector.close()
    await bench.inspector.close()
