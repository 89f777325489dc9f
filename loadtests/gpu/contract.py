# SPDX-License-Identifier: Apache-2.0
"""The runner contract on a CUDA device, and what only a device can show.

Run by ``python -m loadtests.gpu``, never by ``make test``. Nothing here passes on a processor: a runner that fell back is a
failure.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import ClassVar

import numpy as np
import pytest
import torch

from core.errors import ErrorCode, Unavailable
from core.tensors import ANY, Array, DType, Signature, TensorSpec
from loadtests.gpu.models import Linear, linear_onnx, linear_program, linear_script
from runners.backends.onnx.backend import OnnxBackend
from runners.backends.torch.backend import TorchBackend, TorchRunner
from runners.backends.torch.cuda import CudaExecution
from runners.interface import Runner, RunnerOptions
from runners.testing import RunnerContract

OPTIONS = RunnerOptions(instances=2)
WEIGHTS = np.arange(12, dtype=np.float32).reshape(4, 3)
SIGNATURE = Signature(
    inputs=(TensorSpec(name="x", dtype=DType.FP32, shape=(ANY, 4)),),
    outputs=(TensorSpec(name="y", dtype=DType.FP32, shape=(ANY, 3)),),
)
SHAPES = (1, 2, 3, 5, 8)


class OnDevice(RunnerContract):
    """The contract, for a runner that must be on the device."""

    runner_name: ClassVar[str] = "torch-cuda"

    @pytest.fixture(autouse=True)
    def _on_the_device(self, runner: Runner) -> None:
        assert runner.name == self.runner_name


class TestOnnxCuda(OnDevice):
    runner_name = "onnx-cuda"
    lends_results = False  # copied home from the device

    def make_runner(self, weights: Array) -> Runner:
        return OnnxBackend("cuda").load({"model.onnx": linear_onnx(weights)}, options=OPTIONS)


class TestTorchScriptCuda(OnDevice):
    def make_runner(self, weights: Array) -> Runner:
        return TorchBackend("cuda").load({"model.pt": linear_script(weights)}, options=OPTIONS)


class TestTorchExportCuda(OnDevice):
    def make_runner(self, weights: Array) -> Runner:
        return TorchBackend("cuda").load({"model.pt2": linear_program(weights)}, options=OPTIONS)


def test_replays_answer_as_runs_do() -> None:
    """Shapes that come again are captured, and every later answer is that of its own input."""
    execute = CudaExecution(Linear(WEIGHTS).cuda().eval(), SIGNATURE)
    random = np.random.default_rng(1)
    for _ in range(10):
        for rows in SHAPES:
            x = random.normal(size=(rows, 4)).astype(np.float32)
            np.testing.assert_allclose(execute([x])[0], x @ WEIGHTS, rtol=1e-5, atol=1e-5)
    assert set(execute._captured) == {((rows, 4),) for rows in SHAPES}


def test_captures_of_two_models_and_runs_of_many_threads_do_not_meet() -> None:
    """While graphs are captured others run: every answer is right and every shape is captured."""
    models = [CudaExecution(Linear(WEIGHTS * factor).cuda().eval(), SIGNATURE) for factor in (1, 2)]

    def ask(number: int) -> None:
        x = np.full((SHAPES[number % len(SHAPES)], 4), number, np.float32)
        which = number // len(SHAPES) % 2
        np.testing.assert_allclose(models[which]([x])[0], x @ WEIGHTS * (which + 1), rtol=1e-5)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(ask, range(500)))
    assert [len(model._captured) for model in models] == [len(SHAPES)] * 2


class Synchronising(torch.nn.Module):  # type: ignore[misc] # torch is not followed
    """Decides by a value, which cannot be captured."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, :3] * 2 if bool((x > 0).all()) else x[:, :3]


def test_a_model_that_cannot_be_captured_runs_without_a_graph() -> None:
    """Right before, at and after the attempt."""
    execute = CudaExecution(Synchronising().cuda(), SIGNATURE)
    for number in range(10):
        x = np.full((2, 4), number - 5, np.float32)
        np.testing.assert_array_equal(execute([x])[0], x[:, :3] * (2 if number > 5 else 1))
    assert not execute._captured


class Greedy(torch.nn.Module):  # type: ignore[misc]
    """Asks for as many floats as its input says."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.empty(int(x.max()), 2**30, device=x.device)[:1, :3] if bool(x.max() > 1) else x[:, :3]


def test_a_device_without_memory_is_retryable() -> None:
    """DEVICE_001, and the runner stays usable."""
    runner = TorchRunner(Greedy().cuda(), SIGNATURE, device="cuda", writes=False)
    with pytest.raises(Unavailable) as caught:
        runner.run({"x": np.full((1, 4), 1000, np.float32)})
    assert caught.value.code is ErrorCode.DEVICE_UNAVAILABLE
    np.testing.assert_array_equal(runner.run({"x": np.ones((1, 4), np.float32)})["y"], np.ones((1, 3)))


def test_memory_comes_back() -> None:
    """The device has as much free after a hundred loads and unloads as after the first."""
    wide = np.ones((4, 3), np.float32)
    files = {"model.pt2": linear_program(wide)}
    free = []
    for _ in range(100):
        runner = TorchBackend("cuda").load(files, options=OPTIONS)
        for _ in range(6):
            runner.run({"x": np.ones((8, 4), np.float32)})
        runner.close()
        free.append(torch.cuda.mem_get_info()[0])
    assert free[0] - free[-1] < 32 << 20
