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
from core.errors import ErrorCode, InvalidRequest, ModelError, Overloaded
from registry_api.models.uploads.child import ChildLimits, ChildResult
from registry_api.models.uploads.inspection import Inspection, InspectionLimits, ModelInspector
from registry_api.models.uploads.turns import TurnLimits

TENSOR = {"name": "x", "datatype": "FP32", "shape": [-1, 4]}
ANSWER = orjson.dumps({"inputs": [TENSOR], "outputs": [TENSOR], "precision": "fp32"})


def contents(folder: Path) -> dict[str, bytes]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


class Child:
    """Stands for the child process: records what it was shown, waits until it may answer."""

    def __init__(self, result: ChildResult | None = None) -> None:
        self.seen: list[bytes] = []  # all files of a folder, in the order of their paths
        self.names: list[list[str]] = []
        self.at_once = self.most_at_once = 0
        self.started = asyncio.Semaphore(0)  # released each time a child starts
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self._result = result or ChildResult(status=0, answer=ANSWER, stderr="")

    async def __call__(self, folder: Path, limits: ChildLimits) -> ChildResult:
        found = await asyncio.to_thread(contents, folder)
        self.names.append(list(found))
        self.seen.append(b"".join(found.values()))
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

    def __init__(
        self,
        folder: Path,
        child: Child,
        *,
        waiting: int = 100,
        tenant_concurrent: int = 2,
        tenant_waiting: int = 100,
        wall_seconds: float = 5,
    ) -> None:
        self.store = ObjectBlobStore.memory()
        self.scratch = folder / "scratch"
        limits = InspectionLimits(
            child=ChildLimits(wall_seconds=wall_seconds, memory_bytes=1),
            turns=TurnLimits(
                concurrent=2, waiting=waiting, tenant_concurrent=tenant_concurrent, tenant_waiting=tenant_waiting
            ),
            copy_bytes=100,
            remembered=2,
        )
        self.inspector = ModelInspector(self.store, self.scratch, limits, child)

    async def put(self, data: bytes, *, path: str = "model.onnx", tenant: str = "acme") -> FileEntry:
        async def once() -> AsyncIterator[bytes]:
            yield data

        await self.store.put(tenant, once(), digest=digest_bytes(data), size=len(data))
        return FileEntry(path=path, size=len(data), digest=digest_bytes(data))

    async def inspect(self, model: FileEntry, *others: FileEntry, tenant: str = "acme") -> Inspection:
        return await self.inspector.inspect(tenant, (model, *others), model=model)


async def test_the_same_bytes_are_inspected_once(tmp_path: Path) -> None:
    """Ten callers together and one later share one child; the copy it read is gone."""
    child = Child()
    bench = Bench(tmp_path, child)
    model = await bench.put(b"model")
    found = await asyncio.gather(*(bench.inspect(model) for _ in range(10)))
    assert await bench.inspect(model) == found[0]
    assert child.seen == [b"model"]
    assert list(bench.scratch.iterdir()) == []


async def test_answers_are_forgotten_beyond_the_limit(tmp_path: Path) -> None:
    """Of three models two are remembered; the oldest is inspected again."""
    child = Child()
    bench = Bench(tmp_path, child)
    models = [await bench.put(b"%d" % at) for at in range(3)]
    for model in (*models, models[2], models[0]):
        await bench.inspect(model)
    assert child.seen == [b"0", b"1", b"2", b"0"]


async def test_no_more_children_than_allowed_run_at_once(tmp_path: Path) -> None:
    """Six models, two children."""
    child = Child()
    child.may_answer.clear()
    bench = Bench(tmp_path, child)
    models = [await bench.put(b"%d" % at) for at in range(6)]
    tasks = [asyncio.create_task(bench.inspect(model)) for model in models]
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
    task = asyncio.create_task(bench.inspect(first))
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as caught:
        await bench.inspect(second)
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
            await bench.inspect(model)
        assert caught.value.code is ErrorCode.MODEL_INVALID
    assert len(child.seen) == 2


async def test_a_caller_who_leaves_does_not_end_the_inspection_for_others(tmp_path: Path) -> None:
    """The second caller gets the answer of the one child."""
    child = Child()
    child.may_answer.clear()
    bench = Bench(tmp_path, child)
    model = await bench.put(b"model")
    leaving, staying = (asyncio.create_task(bench.inspect(model)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.sleep(0)
    child.may_answer.set()
    assert (await staying).precision == "fp32"
    assert child.seen == [b"model"]
    await bench.inspector.close()
    await bench.inspector.close()


async def test_the_child_sees_all_files_at_their_paths(tmp_path: Path) -> None:
    """Weights beside the model, in folders too; the copy is gone afterwards."""
    child = Child()
    bench = Bench(tmp_path, child)
    model, weights = await bench.put(b"model"), await bench.put(b"weights", path="parts/weights.bin")
    await bench.inspect(model, weights)
    assert (child.names, child.seen) == ([["model.onnx", "parts/weights.bin"]], [b"modelweights"])
    assert list(bench.scratch.iterdir()) == []


async def test_other_weights_or_other_paths_are_another_model(tmp_path: Path) -> None:
    """What is remembered is remembered for all files and their paths, in whatever order they are named."""
    child = Child()
    bench = Bench(tmp_path, child)
    model, one = await bench.put(b"model"), await bench.put(b"1", path="w.bin")
    two, moved = await bench.put(b"2", path="w.bin"), await bench.put(b"1", path="v.bin")
    await bench.inspect(model, one)
    await bench.inspector.inspect("acme", (one, model), model=model)
    assert child.seen == [b"model1"]
    await bench.inspect(model, two)
    await bench.inspect(model, moved)
    assert (len(child.seen), child.names[2]) == (3, ["model.onnx", "v.bin"])


async def test_files_that_are_too_large_together_are_not_copied(tmp_path: Path) -> None:
    """VALID_003 with both numbers, before a byte is read."""
    child = Child()
    bench = Bench(tmp_path, child)
    model, weights = await bench.put(b"m" * 50), await bench.put(b"w" * 51, path="w.bin")
    with pytest.raises(InvalidRequest, match=r"101 bytes .* 100") as caught:
        await bench.inspect(model, weights)
    assert (caught.value.code, child.seen, bench.scratch.exists()) == (ErrorCode.TOO_LARGE, [], False)


async def test_a_tenant_that_sends_many_models_holds_up_only_itself(tmp_path: Path) -> None:
    """One runs, two wait, the fourth is told to come back at once; another tenant's model runs beside them."""
    child = Child()
    child.may_answer.clear()
    bench = Bench(tmp_path, child, tenant_concurrent=1, tenant_waiting=2)
    models = [await bench.put(b"%d" % at) for at in range(4)]
    other = await bench.put(b"other", tenant="globex")
    tasks = [asyncio.create_task(bench.inspect(model)) for model in models[:3]]
    await child.started.acquire()
    with pytest.raises(Overloaded, match="of this tenant") as caught:
        await bench.inspect(models[3])
    assert (caught.value.code, caught.value.retryable) == (ErrorCode.QUEUE_FULL, True)
    assert caught.value.retry_after is not None
    tasks.append(asyncio.create_task(bench.inspect(other, tenant="globex")))
    await child.started.acquire()
    assert child.seen == [b"0", b"other"]
    child.may_answer.set()
    await asyncio.gather(*tasks)
    assert (child.most_at_once, sorted(child.seen)) == (2, [b"0", b"1", b"2", b"other"])
    assert (await bench.inspect(models[3])).precision == "fp32"


async def test_a_refused_model_gives_its_place_back(tmp_path: Path) -> None:
    """A tenant with one place can use it again and again."""
    child = Child(ChildResult(status=-11, answer=b"", stderr=""))
    bench = Bench(tmp_path, child, waiting=1)
    for at in range(3):
        with pytest.raises(ModelError):
            await bench.inspect(await bench.put(b"%d" % at))
    assert len(child.seen) == 3
