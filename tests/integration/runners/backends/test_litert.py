# SPDX-License-Identifier: Apache-2.0
"""TFLite models: the contract, several signatures, quantized edges, and behaviour under load."""

from __future__ import annotations

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import ai_edge_litert
import numpy as np
import psutil
import pytest

from artifacts.testing import refused
from core.errors import ErrorCode, Unavailable
from core.tensors import ANY, Array, DType
from runners.backends.litert.backend import LitertBackend, LitertRunner
from runners.hardware.delegates import DELEGATES, Delegate
from runners.interface import Runner, RunnerOptions
from runners.testing import RunnerContract
from tests.integration.runners.backends.models import CLASSES, dense, linear_tflite, mobilenet, quantized

WEIGHTS = np.arange(12, dtype=np.float32).reshape(4, 3)
GROWTH_BYTES = 50_000_000  # over 1,000 inferences


def load(model: bytes, *, threads: int = 1, instances: int = 1) -> LitertRunner:
    options = RunnerOptions(threads=threads, instances=instances)
    return LitertBackend().load({"model.tflite": model}, options=options)


class TestLitert(RunnerContract):
    lends_results = False  # outputs are copied out of the interpreter's memory

    def make_runner(self, weights: Array) -> Runner:
        return load(linear_tflite(weights), instances=2)


@pytest.fixture(scope="module")
def sized() -> bytes:
    """A model of two signatures, of 1 and of 8 rows."""
    return linear_tflite(WEIGHTS, batches=(8, 1))


@pytest.mark.parametrize("rows", [1, 2, 8, 9, 17, 20])
def test_several_signatures_are_one_model_of_any_batch(sized: bytes, rows: int) -> None:
    """Rows are run in the sizes there are; callers see a free batch and only their own rows."""
    runner = load(sized)
    assert runner.signature.batched
    x = np.random.default_rng(rows).normal(size=(rows, 4)).astype(np.float32)
    result = runner.run({"x": x})["y"]
    np.testing.assert_allclose(result, x @ WEIGHTS, rtol=1e-5, atol=1e-5)


def test_one_of_several_signatures_may_be_named(sized: bytes) -> None:
    """`runner.entry` names one; another name is refused with those there are."""
    runner = LitertBackend().load({"m.tflite": sized}, options=RunnerOptions(entry="batch_8"))
    assert runner.signature.inputs[0].shape == (8, 4)
    with refused(ErrorCode.MODEL_INVALID, "batch_1", "batch_8"):
        LitertBackend().load({"m.tflite": sized}, options=RunnerOptions(entry="batch_2"))


@pytest.mark.parametrize(
    ("how", "bound"), [("fp32", 1e-5), ("fp16", 5e-3), ("int8dyn", 5e-2), ("int8", 1e-1), ("int8w16a", 5e-2)]
)
def test_every_precision_takes_and_gives_floats(how: str, bound: float) -> None:
    """Integers inside stay inside: the signature is float32, and results are those of the source within the precision."""
    model = dense()
    runner = load(quantized(model, how))
    assert runner.precision == how
    assert {spec.dtype for spec in (*runner.signature.inputs, *runner.signature.outputs)} == {DType.FP32}
    assert runner.signature.inputs[0].shape == (ANY, 16)
    x = np.random.default_rng(5).uniform(-1, 1, (8, 16)).astype(np.float32)
    got = runner.run({runner.signature.inputs[0].name: x})[runner.signature.outputs[0].name]
    assert np.abs(got - model(x).numpy()).max() < bound


def test_values_outside_the_range_are_clipped() -> None:
    """A float beyond what an integer input can say is its largest, never the other end of the range."""
    model = dense()
    runner = load(quantized(model, "int8"))
    name, output = runner.signature.inputs[0].name, runner.signature.outputs[0].name
    far, near = (runner.run({name: np.full((1, 16), value, np.float32)})[output] for value in (1e6, 1.0))
    np.testing.assert_array_equal(far, near)


@pytest.mark.parametrize("damage", [b"", b"TFL3", b"\x1c\0\0\0TFL3 not a model", slice(0, 200), slice(0, -300)])
def test_a_damaged_file_is_refused(damage: bytes | slice) -> None:
    """MODEL_003 with the runtime's words; the process lives on."""
    good = linear_tflite(WEIGHTS)
    with refused(ErrorCode.MODEL_INVALID):
        load(good[damage] if isinstance(damage, slice) else damage)


@pytest.mark.parametrize("delegate", DELEGATES, ids=lambda delegate: delegate.device)
def test_a_delegate_that_is_not_here_is_device_001(delegate: object) -> None:
    """The message names the delegate."""
    with pytest.raises(Unavailable, match="Delegate") as caught:
        LitertBackend(delegate).load({"m.tflite": linear_tflite(WEIGHTS)}, options=RunnerOptions())  # type: ignore[arg-type]
    assert caught.value.code is ErrorCode.DEVICE_UNAVAILABLE


@pytest.mark.parametrize("delegate", DELEGATES, ids=lambda delegate: delegate.device)
def test_a_library_that_is_no_delegate_is_device_001(delegate: Delegate, monkeypatch: pytest.MonkeyPatch) -> None:
    """Any other native library under its name is a coded error, nothing in it is called, and the process lives on."""
    other = str(_runtime_library())
    monkeypatch.setenv(delegate.variable, other)
    with refused(ErrorCode.DEVICE_UNAVAILABLE, delegate.device, f"{other} is no LiteRT delegate"):
        LitertBackend(delegate).load({"m.tflite": linear_tflite(WEIGHTS)}, options=RunnerOptions())
    assert load(linear_tflite(WEIGHTS)).run({"x": np.ones((1, 4), np.float32)})["y"].shape == (1, 3)


def _runtime_library() -> Path:
    """A library of LiteRT's own."""
    return next(Path(str(ai_edge_litert.__file__)).parent.glob("*.so"))


def test_instances_are_opened_as_they_are_needed() -> None:
    """Runs one after the other share an interpreter; at most ``instances`` exist, whatever the number of threads."""
    runner = load(linear_tflite(WEIGHTS), instances=3)
    opened: list[object] = []
    really = runner._open
    runner._open = lambda: opened.append(None) or really()  # type: ignore[method-assign,func-returns-value]
    x = {"x": np.ones((1, 4), np.float32)}
    for _ in range(5):
        runner.run(x)
    assert not opened
    with ThreadPoolExecutor(10) as pool:
        list(pool.map(lambda _: runner.run(x), range(200)))
    assert len(opened) <= 2


def test_an_interpreter_that_cannot_be_opened_costs_one_request() -> None:
    """Its place is not lost: the next run opens another (a device may be unplugged and come back)."""
    runner = load(linear_tflite(WEIGHTS))
    really, failing = runner._open, [True]
    runner._free.get()
    runner._free.put(None)  # as after a run that failed

    def unplugged() -> Any:
        if failing:
            failing.clear()
            raise Unavailable(ErrorCode.DEVICE_UNAVAILABLE, "unplugged")
        return really()

    runner._open = unplugged  # type: ignore[method-assign]
    x = {"x": np.ones((1, 4), np.float32)}
    with refused(ErrorCode.DEVICE_UNAVAILABLE, "unplugged"):
        runner.run(x)
    assert runner.run(x)["y"].shape == (1, 3)


# An image model of [1, 224, 224, 3] -> [1, 1001] under load.


@pytest.fixture(scope="module")
def image_model() -> bytes:
    return mobilenet()


@pytest.fixture
def image_runner(image_model: bytes) -> LitertRunner:
    return load(image_model, instances=2)


def image() -> dict[str, Array]:
    return {"input": np.random.default_rng(1).uniform(-1, 1, (1, 224, 224, 3)).astype(np.float32)}


def test_it_initialises_and_infers(image_runner: LitertRunner) -> None:
    """Loaded, it has its tensors; an image gives 1,001 probabilities under the output's name."""
    assert [(spec.name, spec.shape) for spec in image_runner.signature.inputs] == [("input", (1, 224, 224, 3))]
    output = image_runner.run(image())["MobilenetV2/Predictions/Reshape_1"]
    assert output.shape == (1, CLASSES)
    assert output.sum() == pytest.approx(1.0, abs=1e-3)
    image_runner.close()


def test_a_hundred_inferences_over_ten_threads(image_runner: LitertRunner) -> None:
    """All succeed, with the result that one alone has."""
    expected = image_runner.run(image())["MobilenetV2/Predictions/Reshape_1"]
    done = threading.Semaphore(0)

    def infer(_: int) -> Array:
        result = image_runner.run(image())["MobilenetV2/Predictions/Reshape_1"]
        done.release()
        return result

    with ThreadPoolExecutor(10) as pool:
        for result in pool.map(infer, range(100)):
            np.testing.assert_allclose(result, expected, atol=1e-6)
    assert all(done.acquire(blocking=False) for _ in range(100))
    image_runner.close()


def test_a_thousand_inferences_do_not_grow_memory(image_runner: LitertRunner) -> None:
    """Less than 50 MB over 1,000 inferences."""
    process, given = psutil.Process(), image()
    for _ in range(5):
        image_runner.run(given)
    gc.collect()
    before = process.memory_info().rss
    for _ in range(1000):
        image_runner.run(given)
    gc.collect()
    growth = process.memory_info().rss - before
    print(f"growth over 1,000 inferences: {growth / 1e6:.2f} MB")
    assert growth < GROWTH_BYTES
    image_runner.close()


def test_close_ends_use_and_wakes_who_waits(image_runner: LitertRunner) -> None:
    """Runs under way end with a result or MODEL_002, later ones with MODEL_002."""
    with ThreadPoolExecutor(8) as pool:
        running = [pool.submit(image_runner.run, image()) for _ in range(32)]
        image_runner.close()
        ends = [future.exception(timeout=30) for future in running]
    assert all(end is None or (isinstance(end, Unavailable) and end.code is ErrorCode.MODEL_NOT_READY) for end in ends)
    with pytest.raises(Unavailable):
        image_runner.run(image())
