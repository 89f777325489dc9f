# SPDX-License-Identifier: Apache-2.0
"""Real runners for tests, and the suite every backend must pass.

``FakeRunner`` computes ``y = 2 x + 1`` on rows of floats and can be held or made to fail on chosen rows; it
needs no runtime. ``RunnerContract`` is subclassed once per backend.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import numpy as np
import pytest

from core.errors import ErrorCode, FuroshikiError, OperatorError, TensorError, Unavailable
from core.inference import InferenceRequest
from core.tensors import ANY, Array, DType, Signature, TensorSpec, dtype_from_numpy
from runners.interface import Runner, StopSignal

POISON = -666.0  # a value FakeRunner fails on


class FakeRunner:
    """Computes ``y = 2 x + 1`` for ``x`` of shape [-1, width] (width ANY by default).

    ``gate`` is set at first; clear it to hold every execution until it is set again. ``batches`` records the rows of each
    execution that began. A batch that contains :data:`POISON` fails.
    """

    name = "fake"

    def __init__(self, *, width: int = ANY, batched: bool = True) -> None:
        shape = (ANY, width) if batched else (2, width)
        self.signature = Signature(
            inputs=(TensorSpec(name="x", dtype=DType.FP32, shape=shape),),
            outputs=(TensorSpec(name="y", dtype=DType.FP32, shape=shape),),
        )
        self.gate = threading.Event()
        self.gate.set()
        self.batches: list[int] = []
        self.closed = False

    def run(self, inputs: Mapping[str, Array], stop: StopSignal | None = None) -> dict[str, Array]:
        if self.closed:
            raise Unavailable(ErrorCode.MODEL_NOT_READY, "The model was unloaded.")
        x = inputs["x"]
        self.batches.append(len(x))
        while not self.gate.wait(0.005):
            if stop is not None and stop.stopped:
                raise OperatorError(ErrorCode.INFERENCE_FAILED, "The execution was stopped.")
        if (x == POISON).any():
            raise TensorError(ErrorCode.TENSOR_REJECTED, "The batch holds a poisoned value.")
        return {"y": 2 * x + 1}

    def close(self) -> None:
        self.closed = True


class RunnerContract(ABC):
    """What every backend's runner does. Subclass it and make runners of ``y = x @ w`` with ``x`` [-1, 4], ``y`` [-1, 3]."""

    lends_results: ClassVar[bool] = True  # whether results lie in memory of the runtime's, not in copies

    @abstractmethod
    def make_runner(self, weights: Array) -> Runner:
        """A loaded runner of float32 ``weights`` with shape [4, 3]."""

    @pytest.fixture
    def weights(self) -> Array:
        return np.arange(12, dtype=np.float32).reshape(4, 3)

    @pytest.fixture
    def runner(self, weights: Array) -> Runner:
        return self.make_runner(weights)

    def test_signature_is_read_from_the_model(self, runner: Runner) -> None:
        """The signature names each tensor with its datatype and shape, the batch as -1."""
        assert runner.signature == Signature(
            inputs=(TensorSpec(name="x", dtype=DType.FP32, shape=(ANY, 4)),),
            outputs=(TensorSpec(name="y", dtype=DType.FP32, shape=(ANY, 3)),),
        )

    @pytest.mark.parametrize("rows", [1, 7, 64])
    def test_result_is_the_models(self, runner: Runner, weights: Array, rows: int) -> None:
        """A batch of any size gives what the model computes, one row per input row."""
        x = np.random.default_rng(rows).normal(size=(rows, 4)).astype(np.float32)
        result = runner.run({"x": x})
        assert list(result) == ["y"]
        np.testing.assert_allclose(result["y"], x @ weights, rtol=1e-5)

    def test_read_only_input_is_accepted(self, runner: Runner, weights: Array) -> None:
        """A read-only view of a request body is executed without a copy being asked for."""
        x = np.frombuffer(np.ones(4, dtype=np.float32).tobytes(), dtype=np.float32).reshape(1, 4)
        np.testing.assert_allclose(runner.run({"x": x})["y"], x @ weights)

    def test_failure_leaves_the_runner_usable(self, runner: Runner) -> None:
        """A run the model cannot process raises TENSOR_006, and the next run succeeds."""
        with pytest.raises(TensorError) as caught:
            runner.run({"x": np.zeros((1, 5), dtype=np.float32)})
        assert caught.value.code is ErrorCode.TENSOR_REJECTED
        np.testing.assert_array_equal(runner.run({"x": np.zeros((1, 4), dtype=np.float32)})["y"], np.zeros((1, 3)))

    def test_threads_may_share_it(self, runner: Runner, weights: Array) -> None:
        """A hundred runs over ten threads each get their own result."""
        inputs = [np.full((1, 4), n, dtype=np.float32) for n in range(100)]
        with ThreadPoolExecutor(10) as pool:
            results: list[Any] = list(pool.map(lambda x: runner.run({"x": x})["y"], inputs))
        for x, y in zip(inputs, results, strict=True):
            np.testing.assert_allclose(y, x @ weights)

    def test_results_belong_to_the_caller(self, runner: Runner) -> None:
        """A result shares no memory with the input or a later result, and the input is left as it was."""
        x = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
        sent = x.copy()
        first = runner.run({"x": x})["y"]
        kept = first.copy()
        second = runner.run({"x": x + 1})["y"]
        assert not np.shares_memory(first, second)
        assert not np.shares_memory(first, x)
        np.testing.assert_array_equal(first, kept)
        np.testing.assert_array_equal(x, sent)

    def test_results_are_in_the_runtimes_own_memory(self, runner: Runner) -> None:
        """Where the runtime lends its memory a result is not copied into numpy's."""
        result = runner.run({"x": np.ones((2, 4), dtype=np.float32)})["y"]
        assert result.flags.owndata is not self.lends_results

    def test_a_stopped_run_ends_with_an_error(self, runner: Runner, weights: Array) -> None:
        """A run whose signal was given before it began ends at once, and the runner stays usable."""
        stop = StopSignal()
        stop.stop()
        x = np.ones((1, 4), dtype=np.float32)
        with pytest.raises(FuroshikiError):
            runner.run({"x": x}, stop)
        np.testing.assert_allclose(runner.run({"x": x}, StopSignal())["y"], x @ weights)

    def test_close_may_be_called_twice_and_ends_use(self, runner: Runner) -> None:
        """After close, twice, a run is refused with MODEL_002."""
        runner.close()
        runner.close()
        with pytest.raises(Unavailable) as caught:
            runner.run({"x": np.zeros((1, 4), dtype=np.float32)})
        assert caught.value.code is ErrorCode.MODEL_NOT_READY


def request_of(
    inputs: Mapping[str, Array],
    *,
    tenant: str = "acme",
    deadline: float | None = None,
    priority: int = 0,
    outputs: tuple[str, ...] | None = None,
) -> InferenceRequest:
    """A decoded request of these tensors, as an edge would hand it on."""
    return InferenceRequest(
        tenant=tenant,
        model="model",
        version=None,
        request_id="test",
        inputs=inputs,
        dtypes={name: dtype_from_numpy(array.dtype) for name, array in inputs.items()},
        outputs=outputs,
        deadline=deadline,
        priority=priority,
    )
