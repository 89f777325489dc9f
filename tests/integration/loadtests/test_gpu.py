# SPDX-License-Identifier: Apache-2.0
"""The GPU run on a machine without a GPU: it says why it does not run, and what it measures with measures."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

import numpy as np
import pytest

from deploy.local.stack import ROOT
from loadtests.gpu.__main__ import NO_DEVICE
from loadtests.gpu.benchmark import MODELS, Effort, copies, executions
from loadtests.gpu.models import layers
from loadtests.gpu.run import contract, unusable
from runners.backends.torch.execution import CpuExecution

EFFORT = Effort(rows=(1, 4), sizes=(16, 4096), rounds=2, runs=3, warm=1)


@pytest.mark.parametrize("command", [["-m", "loadtests.gpu"], ["-S", "-m", "loadtests.gpu", "--check"]])
def test_without_a_device_it_says_so_and_runs_nothing(command: Sequence[str]) -> None:
    """Exit code 3 and DEVICE_001 with the reason; the check needs no package at all."""
    done = subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    error = json.loads(done.stdout)["error"]
    assert (done.returncode, error["code"]) == (NO_DEVICE, "DEVICE_001")
    assert "libnvidia-ml.so.1" in error["message"]
    assert done.stderr == ""


def test_runtimes_that_cannot_use_a_device_are_named() -> None:
    """Each with its reason, which here is the build or the driver."""
    assert str(unusable()).startswith("onnx-cuda: ")
    assert "torch-cuda: " in str(unusable())


def test_a_runner_that_fell_back_breaks_the_contract() -> None:
    """On a processor every test of a runner fails, in words that name what it was on instead."""
    outcomes = contract(["-k", "test_close_may_be_called_twice_and_ends_use and not Export"])
    assert {item.test.partition("::")[0] for item in outcomes} == {"TestOnnxCuda", "TestTorchScriptCuda"}
    assert {item.outcome for item in outcomes} == {"error"}
    assert all("-cpu" in item.message for item in outcomes)


def test_every_case_has_its_samples() -> None:
    """Of each model and batch, by the clock that was given; of each copy, those after the warm-up."""
    ticks = iter(range(10_000))
    timings = executions("cpu", EFFORT, lambda: next(ticks))
    assert [(timing.case.model, timing.case.rows) for timing in timings] == [(m, n) for m in MODELS for n in (1, 4)]
    assert all(timing.nanoseconds == [1] * 6 for timing in timings)
    copied = copies("cpu", EFFORT, lambda: next(ticks))
    assert [(copy.bytes, copy.pinned, copy.nanoseconds) for copy in copied] == [
        (16, False, [1, 1]),
        (4096, False, [1, 1]),
    ]


@pytest.mark.parametrize("model", MODELS)
def test_the_models_compute(model: str) -> None:
    """Ten finite numbers a row, each row for itself."""
    module, signature = layers(model)
    execute = CpuExecution(module, signature)
    x = np.random.default_rng(1).normal(size=(3, *signature.inputs[0].shape[1:])).astype(np.float32)
    (together,) = execute([x])
    assert together.shape == (3, 10)
    assert np.isfinite(together).all()
    np.testing.assert_allclose(execute([x[1:2]])[0], together[1:2], rtol=1e-4, atol=1e-5)
