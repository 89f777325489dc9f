# SPDX-License-Identifier: Apache-2.0
"""A model behind a socket behaves as one in this process: results, errors, cancellation, limits and deadlines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from artifacts.testing import refused
from core.errors import ErrorCode, Overloaded, TensorError, Unavailable
from core.inference import InferenceRequest
from core.tensors import Array, DType, Signature, TensorSpec
from runners.batching.work import Outcome
from runners.remote.limits import WireLimits
from runners.remote.testing import DIGEST, SIGNATURE, ManualHandle, Pair, connected
from runners.testing import request_of

RESULT = {"y": np.array([[3, 5]], np.float32), "rows": np.array([1])}
SMALL = WireLimits(in_flight=2, in_flight_bytes=1024, frame_bytes=2**20, shared_above=2**14, shared_bytes=2**16)


@pytest.fixture
async def pair(tmp_path: Path) -> AsyncIterator[Pair]:
    async with connected(tmp_path) as both:
        yield both


def request(columns: int = 2, **facts: object) -> InferenceRequest:
    made = request_of({"x": np.arange(columns, dtype=np.float32).reshape(1, -1)})
    for name, value in facts.items():
        setattr(made, name, value)
    return made


async def settled(pair: Pair, wanted: int) -> None:
    """Returns when so many requests wait at the worker's end."""
    while len(pair.handle._pending) != wanted:
        await asyncio.sleep(0)


async def test_what_the_runner_verified_is_known_here(pair: Pair) -> None:
    """The model, its digest, its key and its tensors are those the runner loaded."""
    loaded = pair.attached
    assert (loaded.tenant, loaded.model, loaded.version, loaded.digest) == ("acme", "model", "3", DIGEST)
    assert (loaded.handle.runner, loaded.handle.signature, loaded.handle.ready) == ("manual", SIGNATURE, True)
    assert loaded.output_dtypes == {"y": DType.FP32, "rows": DType.INT64}


async def test_everything_of_a_request_travels(pair: Pair) -> None:
    """Tenant, id, priority, trace, outputs, tensors and the time left reach the runner."""
    loop = asyncio.get_running_loop()
    asked = request(
        tenant="globex",
        request_id="r-7",
        priority=3,
        traceparent="00-ab-cd-01",
        outputs=("y",),
        deadline=loop.time() + 60,
    )
    waiting = asyncio.ensure_future(pair.handle.infer(asked))
    (reached,) = await pair.model.reached(1)
    got = reached.request
    assert (got.tenant, got.request_id, got.priority, got.traceparent, got.outputs) == (
        "globex",
        "r-7",
        3,
        "00-ab-cd-01",
        ("y",),
    )
    assert (got.model, got.version, got.dtypes) == ("model", "3", {"x": DType.FP32})
    assert got.deadline is not None
    assert 55 < got.deadline - loop.time() <= 60
    np.testing.assert_array_equal(got.inputs["x"], asked.inputs["x"])
    reached.answer(RESULT)
    assert list(await waiting) == ["y"]


async def test_requests_come_together_and_are_answered_in_any_order(pair: Pair) -> None:
    """A hundred requests in flight on one connection each get their own result."""
    tasks = [asyncio.ensure_future(pair.handle.infer(request(columns=n + 1))) for n in range(100)]
    for asked in reversed(await pair.model.reached(100)):
        x = asked.request.inputs["x"]
        asked.answer({"y": 2 * x, "rows": np.array([x.shape[1]])})
    for columns, result in enumerate(await asyncio.gather(*tasks), start=1):
        assert result["rows"] == columns
        np.testing.assert_array_equal(result["y"], 2 * np.arange(columns, dtype=np.float32)[None])


@pytest.mark.parametrize("columns", [100, 10_000, 3_000_000], ids=["in the frame", "shared", "beyond the memory"])
async def test_tensors_of_every_size(tmp_path: Path, columns: int) -> None:
    """A tensor arrives unchanged, both ways, in the frame or through shared memory, again and again."""
    limits = WireLimits(shared_above=2**12, shared_bytes=2**20)
    x = np.random.default_rng(1).normal(size=(1, columns)).astype(np.float32)
    async with connected(tmp_path, limits=limits) as pair:
        for _ in range(60 if columns < 10**6 else 2):
            waiting = asyncio.ensure_future(pair.handle.infer(request_of({"x": x})))
            (asked,) = await pair.model.reached(1)
            np.testing.assert_array_equal(asked.request.inputs["x"], x)
            pair.model.answer_all({"y": -asked.request.inputs["x"], "rows": np.array([1])})
            np.testing.assert_array_equal((await waiting)["y"], -x)


async def test_every_datatype(tmp_path: Path) -> None:
    """All datatypes of the protocol, scalars and empty tensors included, cross the boundary."""
    specs = tuple(TensorSpec(name=dtype.oip, dtype=dtype, shape=(2, 3)) for dtype in DType)
    odd = (
        TensorSpec(name="scalar", dtype=DType.FP64, shape=()),
        TensorSpec(name="none", dtype=DType.INT8, shape=(0, 4)),
    )
    arrays: dict[str, Array] = {
        spec.name: np.array([[b"a", b"", b"ccc"], [b"\xff\x00", b"e", b"f"]], dtype=object)
        if spec.dtype is DType.BYTES
        else np.arange(6).reshape(2, 3).astype(spec.dtype.numpy)
        for spec in specs
    } | {"scalar": np.array(1.5), "none": np.zeros((0, 4), np.int8)}
    signature = Signature(inputs=specs + odd, outputs=specs + odd)
    async with connected(tmp_path, model=ManualHandle(signature)) as pair:
        waiting = asyncio.ensure_future(pair.handle.infer(request_of(arrays)))
        (asked,) = await pair.model.reached(1)
        pair.model.answer_all(dict(asked.request.inputs))
        result = await waiting
    for name, array in arrays.items():
        assert result[name].dtype == array.dtype, name
        np.testing.assert_array_equal(result[name], array)


async def test_an_error_is_the_runners_own(pair: Pair) -> None:
    """What the runner raises, at once or later, is raised here with class, code and details; the others go on."""
    pair.model.refusal = Overloaded(ErrorCode.QUEUE_FULL, "Full.", retry_after=2.5)
    with pytest.raises(Overloaded) as caught:
        await pair.handle.infer(request())
    assert (caught.value.code, caught.value.retry_after) == (ErrorCode.QUEUE_FULL, 2.5)
    pair.model.refusal = None
    failing, fine = (asyncio.ensure_future(pair.handle.infer(request())) for _ in range(2))
    first, second = await pair.model.reached(2)
    first.answer(TensorError(ErrorCode.TENSOR_REJECTED, "Poison.", details={"row": 3}))
    second.answer(RESULT)
    with pytest.raises(TensorError) as rejected:
        await failing
    assert rejected.value.details == {"row": 3}
    np.testing.assert_array_equal((await fine)["y"], RESULT["y"])


@pytest.mark.parametrize("answer", [RuntimeError("secret path"), {"y": np.ones((1, 2)), "rows": np.array([1])}, {}])
async def test_a_fault_of_the_runner_shows_nothing(pair: Pair, answer: Outcome) -> None:
    """An unknown exception, a result of another datatype or without an output is INTERNAL_001 and one fixed sentence."""
    waiting = asyncio.ensure_future(pair.handle.infer(request()))
    (asked,) = await pair.model.reached(1)
    asked.answer(answer)
    with refused(ErrorCode.INTERNAL, "The service failed unexpectedly"):
        await waiting


async def test_a_callback_that_raises_harms_nobody_else(pair: Pair) -> None:
    """The connection and the other requests on it survive a caller whose own code fails."""

    def broken(_outcome: Outcome) -> None:
        raise RuntimeError("the caller's own")

    pair.handle.submit(request(), broken)
    fine = asyncio.ensure_future(pair.handle.infer(request()))
    await pair.model.reached(2)
    pair.model.answer_all(RESULT)
    assert list(await fine) == ["y", "rows"]
    assert pair.handle.ready


async def test_cancellation_crosses_the_boundary(pair: Pair) -> None:
    """A caller that goes away takes its request out of the runner's queue; cancelling twice does nothing more."""
    ended: list[Outcome] = []
    ticket = pair.handle.submit(request(), ended.append)
    (asked,) = await pair.model.reached(1)
    ticket.cancel()
    ticket.cancel()
    while not asked.cancelled:
        await asyncio.sleep(0)
    assert ended == []
    assert len(pair.handle._pending) == 0


async def test_a_result_that_crosses_a_cancellation_is_dropped(tmp_path: Path) -> None:
    """A large result nobody waits for gives its shared memory back."""
    limits = WireLimits(shared_above=2**12, shared_bytes=2**17)
    big = {"y": np.ones((1, 20_000), np.float32), "rows": np.array([1])}
    async with connected(tmp_path, limits=limits) as pair:
        for _ in range(5):
            ticket = pair.handle.submit(request(), lambda _outcome: pytest.fail("cancelled"))
            (asked,) = await pair.model.reached(1)
            asked.answer(big)
            pair.model.asked.clear()
            ticket.cancel()
        last = asyncio.ensure_future(pair.handle.infer(request()))
        await pair.model.reached(1)
        pair.model.answer_all(big)
        np.testing.assert_array_equal((await last)["y"], big["y"])


async def test_too_many_are_refused_at_once(tmp_path: Path) -> None:
    """Beyond the requests in flight QUEUE_001 is raised by submit itself, and room comes back with each answer."""
    async with connected(tmp_path, limits=SMALL) as pair:
        tasks = [asyncio.ensure_future(pair.handle.infer(request())) for _ in range(2)]
        await pair.model.reached(2)
        with refused(ErrorCode.QUEUE_FULL, "2 requests"):
            pair.handle.submit(request(), print)
        pair.model.answer_all(RESULT)
        await asyncio.gather(*tasks)
        pair.handle.submit(request(), print).cancel()


async def test_too_many_bytes_are_refused_at_once(tmp_path: Path) -> None:
    """Beyond the bytes in flight QUEUE_001 is raised; a single larger request may travel alone."""
    async with connected(tmp_path, limits=SMALL) as pair:
        alone = asyncio.ensure_future(pair.handle.infer(request(columns=400)))
        await pair.model.reached(1)
        with refused(ErrorCode.QUEUE_FULL, "1600 bytes"):
            pair.handle.submit(request(), print)
        pair.model.answer_all(RESULT)
        await alone


async def test_a_request_beyond_any_message_is_refused(tmp_path: Path) -> None:
    """Tensors that fit neither the shared memory nor a frame are VALID_003; nothing is left behind."""
    async with connected(tmp_path, limits=SMALL) as pair:
        with refused(ErrorCode.TOO_LARGE, "too large"):
            pair.handle.submit(request(columns=200_000), print)
        assert len(pair.handle._pending) == 0


async def test_a_result_beyond_any_message_is_refused(tmp_path: Path) -> None:
    """A result that cannot be sent fails its request and no other."""
    async with connected(tmp_path, limits=SMALL) as pair:
        waiting = asyncio.ensure_future(pair.handle.infer(request()))
        await pair.model.reached(1)
        pair.model.answer_all({"y": np.ones((1, 200_000), np.float32), "rows": np.array([1])})
        with refused(ErrorCode.TOO_LARGE, "result"):
            await waiting
        assert pair.handle.ready


async def test_a_deadline_in_the_past_is_not_sent(pair: Pair) -> None:
    """TIMEOUT_001 at once, without asking the runner."""
    with refused(ErrorCode.TIMEOUT, "0.000 s"):
        pair.handle.submit(request(deadline=asyncio.get_running_loop().time() - 1), print)
    assert pair.model.asked == []


async def test_a_deadline_holds_whatever_the_runner_does(pair: Pair) -> None:
    """A request the runner does not answer ends at its deadline, and the runner is told to drop it."""
    with refused(ErrorCode.TIMEOUT, "No result within"):
        await pair.handle.infer(request(deadline=asyncio.get_running_loop().time() + 0.01))
    (asked,) = await pair.model.reached(1)
    while not asked.cancelled:
        await asyncio.sleep(0)


async def test_without_a_deadline_the_services_limit_holds(tmp_path: Path) -> None:
    """A request without a deadline of its own ends after max_wait_s."""
    async with connected(tmp_path, limits=WireLimits(silence_s=0.04), max_wait_s=0.01) as pair:
        with refused(ErrorCode.TIMEOUT, "No result within"):
            await pair.handle.infer(request())


async def test_a_lost_runner_fails_what_is_in_flight(pair: Pair) -> None:
    """When the connection ends, everything waiting gets a retryable MODEL_002 at once, and so does what comes next."""
    tasks = [asyncio.ensure_future(pair.handle.infer(request())) for _ in range(3)]
    asked = await pair.model.reached(3)
    await pair.server.close(drain_s=0)
    for outcome in await asyncio.gather(*tasks, return_exceptions=True):
        assert isinstance(outcome, Unavailable)
        assert (outcome.code, outcome.retryable, outcome.retry_after) == (ErrorCode.MODEL_NOT_READY, True, 1.0)
    assert not pair.handle.ready
    with refused(ErrorCode.MODEL_NOT_READY, "not available now"):
        pair.handle.submit(request(), print)
    assert [one.cancelled for one in asked] == [True] * 3


async def test_drain_waits_for_the_accepted(pair: Pair) -> None:
    """Draining refuses new requests and returns when the accepted ones have ended."""
    waiting = asyncio.ensure_future(pair.handle.infer(request()))
    await pair.model.reached(1)
    draining = asyncio.ensure_future(pair.handle.drain())
    await asyncio.sleep(0)
    with refused(ErrorCode.MODEL_NOT_READY):
        pair.handle.submit(request(), print)
    assert not draining.done()
    pair.model.answer_all(RESULT)
    await asyncio.gather(waiting, draining)


async def test_close_fails_what_waits(pair: Pair) -> None:
    """Closing, twice, ends every request with MODEL_002 and leaves the runner."""
    waiting = asyncio.ensure_future(pair.handle.infer(request()))
    await pair.model.reached(1)
    await pair.handle.close()
    await pair.handle.close()
    with refused(ErrorCode.MODEL_NOT_READY):
        await waiting
    assert not pair.handle.ready
    while pair.server._sessions:
        await asyncio.sleep(0)


async def test_statistics_are_the_runners(tmp_path: Path) -> None:
    """The counters shown are those the runner last told."""
    async with connected(tmp_path, limits=WireLimits(silence_s=0.04)) as pair:
        pair.model.statistics().success.add(700, 5)
        while pair.handle.statistics().success.count != 5:
            await asyncio.sleep(0)
        assert pair.handle.statistics().success.ns == 700
