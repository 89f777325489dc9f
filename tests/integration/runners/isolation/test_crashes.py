# SPDX-License-Identifier: Apache-2.0
"""The process of a model that crashes, is killed, hangs or grows: what that costs whom."""

from __future__ import annotations

import asyncio
import os
import signal
import time

import numpy as np
import pytest
from structlog.testing import capture_logs

from artifacts.testing import refused
from core.errors import ErrorCode, Unavailable
from core.inference import InferenceRequest
from core.telemetry import metrics
from runners.isolation.handle import IsolatedHandle
from runners.testing import request_of
from tests.integration.runners.isolation.conftest import Load, model_processes
from tests.integration.runners.isolation.crashing import ABORT, GROW, HOLD, LEAVE


def row(value: float, *, rows: int = 1) -> InferenceRequest:
    return request_of({"x": np.full((rows, 2), value, np.float32)})


async def until(handle: IsolatedHandle, *, ready: bool) -> float:
    """Waits until the handle says so; the seconds it took."""
    started = time.monotonic()
    async with asyncio.timeout(30):
        while handle.ready is not ready:
            await asyncio.sleep(0.002)
    return time.monotonic() - started


async def answers(handle: IsolatedHandle, value: float = 1) -> bool:
    result = await handle.infer(row(value))
    return bool((result["y"] == 2 * value + 1).all())


@pytest.mark.fault("the process of a model crashes")
@pytest.mark.parametrize("deed", [ABORT, LEAVE], ids=["abort", "exit"])
async def test_a_crash_costs_only_what_was_executed(load: Load, deed: float) -> None:
    """That request gets MODEL_002 at once; what waited is answered by the next process, another model all along."""
    handle, other = await load(max_rows=1), await load(model="other")
    first, pid = handle._process.pid, other._process.pid
    began = metrics.MODEL_PROCESS_RESTARTS.labels("acme", "digits", "3")._value.get()
    with capture_logs() as events:
        tasks = [asyncio.ensure_future(handle.infer(row(value))) for value in (deed, 1, 2, 3)]
        with refused(ErrorCode.MODEL_NOT_READY):
            await tasks[0]
        assert not handle.ready
        with pytest.raises(Unavailable) as caught:
            await handle.infer(row(1))
        assert (caught.value.retryable, caught.value.retry_after) == (True, 1.0)
        while not handle.ready:
            assert await answers(other)
        results = await asyncio.gather(*tasks[1:])
    assert [float(result["y"][0, 0]) for result in results] == [3, 5, 7]
    assert (other._process.pid, handle._process.pid != first) == (pid, True)
    assert metrics.MODEL_PROCESS_RESTARTS.labels("acme", "digits", "3")._value.get() == began + 1
    (ended,) = [event for event in events if event["event"] == "model_process_ended"]
    assert ended["how"] == ("signal SIGABRT" if deed == ABORT else "exit status 7")


@pytest.mark.fault("the process of a model is killed")
async def test_a_killed_process_is_replaced(load: Load) -> None:
    """kill -9, twice in a row: everything under way fails at once, and each time another one takes over."""
    handle = await load(instances=4)
    waits = []
    for _ in range(2):
        tasks = [asyncio.ensure_future(handle.infer(row(HOLD))) for _ in range(8)]
        await asyncio.sleep(0.02)
        assert handle._process.pid is not None
        os.kill(handle._process.pid, signal.SIGKILL)
        done, waiting = await asyncio.wait(tasks, timeout=5, return_when=asyncio.FIRST_EXCEPTION)
        assert done
        assert {type(task.exception()) for task in done} == {Unavailable}
        for task in waiting:
            task.cancel()
        waits.append(await until(handle, ready=True))
        assert await answers(handle)
    print("seconds until ready again:", [round(wait, 2) for wait in waits])


@pytest.mark.fault("the process of a model hangs")
async def test_a_process_that_hangs_is_replaced(load: Load) -> None:
    """SIGSTOP: soon not ready, then ended and started anew, without anybody's help."""
    handle = await load(silence_s=0.2, hang_s=0.4)
    first = handle._process.pid
    assert first is not None
    os.kill(first, signal.SIGSTOP)
    assert await until(handle, ready=False) < 10
    await until(handle, ready=True)
    assert handle._process.pid != first
    assert await answers(handle)


async def test_who_goes_away_frees_the_model(load: Load) -> None:
    """A caller that gives up stops the execution in the other process; the next request is answered at once."""
    handle = await load()
    await answers(handle)
    task = asyncio.ensure_future(handle.infer(row(HOLD)))
    await asyncio.sleep(0.05)
    task.cancel()
    started = time.monotonic()
    assert await answers(handle)
    assert time.monotonic() - started < 10


@pytest.mark.fault("a model is loaded that kills its process")
async def test_a_crash_while_loading_is_the_models_fault(load: Load) -> None:
    """MODEL_003 names the signal; this process has noticed nothing else of it."""
    with refused(ErrorCode.MODEL_INVALID, "SIGABRT", "acme/digits@3"):
        await load(b"abort")


async def test_a_refusal_arrives(load: Load) -> None:
    """What the runtime says about a model it refuses is told as if it had been loaded here."""
    with refused(ErrorCode.MODEL_INVALID, "Not today."):
        await load(b"refuse")


async def test_a_load_that_takes_too_long_is_ended(load: Load) -> None:
    """MODEL_002 names the setting, and the process is gone."""
    with refused(ErrorCode.MODEL_NOT_READY, "FUROSHIKI_ISOLATION__START_S"):
        await load(b"sleep", start_s=1.5)


async def test_a_load_that_is_given_up_is_ended(load: Load) -> None:
    """Cancelled, as at the end of the service: its process goes at once."""
    loading = asyncio.ensure_future(load(b"sleep"))
    while not model_processes():
        await asyncio.sleep(0.01)
    loading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loading
    assert not model_processes()


@pytest.mark.fault("a model takes more memory than its process may have")
async def test_memory_is_bounded(load: Load) -> None:
    """A load beyond the limit is MODEL_003; a request beyond it fails alone, and the next one is answered."""
    limit = 700 * 2**20
    with refused(ErrorCode.MODEL_INVALID, str(limit)):
        await load(b"grow", memory_bytes=limit)
    handle = await load(memory_bytes=limit)
    pid = handle._process.pid
    with refused(ErrorCode.DEVICE_UNAVAILABLE):
        await handle.infer(row(GROW))
    assert await answers(handle)
    assert handle._process.pid == pid
