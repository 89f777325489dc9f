# SPDX-License-Identifier: Apache-2.0
"""What ``test_tflite_runtime.py`` runs inside the environment of tflite-runtime, on models made outside it.

``FUROSHIKI_TEST_MODELS`` names their folder: ``linear.tflite`` is the contract's model; of others there are ``NAME.tflite``
and ``NAME.npz`` with an input ``x``, what the source answers, ``y``, and how far a result may be from it, ``bound``.
"""

from __future__ import annotations

import os
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from artifacts.testing import refused
from core.errors import ErrorCode
from core.numbers import exact_array
from core.tensors import ANY, Array, DType
from runners.backends.litert.backend import LitertBackend, LitertRunner
from runners.backends.litert.runtime import RUNTIME, VERSION
from runners.hardware.delegates import DELEGATES
from runners.interface import Runner, RunnerOptions
from runners.testing import RunnerContract

MODELS = Path(os.environ["FUROSHIKI_TEST_MODELS"])


def load(name: str, *, instances: int = 1) -> LitertRunner:
    model = (MODELS / f"{name}.tflite").read_bytes()
    return LitertBackend().load({"model.tflite": model}, options=RunnerOptions(instances=instances))


class TestTfliteRuntime(RunnerContract):
    lends_results = False  # outputs are copied out of the interpreter's memory

    def make_runner(self, weights: Array) -> Runner:
        assert np.array_equal(weights, np.arange(12, dtype=np.float32).reshape(4, 3))
        return load("linear", instances=2)


def test_the_environment_is_the_predecessors() -> None:
    """tflite-runtime 2.14.0 on numpy 1.26, without its successor."""
    assert (RUNTIME, VERSION) == ("tflite-runtime", "2.14.0")
    assert np.__version__.startswith("1.26.")
    with pytest.raises(metadata.PackageNotFoundError):
        metadata.version("ai-edge-litert")


@pytest.mark.parametrize("name", ["fp32", "fp16", "int8", "int8w16a", "image-int8"])
def test_results_are_the_sources(name: str) -> None:
    """Floats in and out, whatever the model computes with."""
    runner, kept = load(name), np.load(MODELS / f"{name}.npz")
    assert runner.precision == name.removeprefix("image-")
    (given,), (output,) = runner.signature.inputs, runner.signature.outputs
    assert (given.dtype, output.dtype) == (DType.FP32, DType.FP32)
    result = runner.run({given.name: kept["x"]})[output.name]
    assert result.dtype == np.float32
    assert np.abs(result - kept["y"]).max() < kept["bound"]


@pytest.mark.parametrize("rows", [1, 8, 13])
def test_several_signatures_are_one_model_of_any_batch(rows: int) -> None:
    """As with the successor."""
    runner = load("sized")
    assert runner.signature.inputs[0].shape == (ANY, 4)
    x = np.random.default_rng(rows).normal(size=(rows, 4)).astype(np.float32)
    np.testing.assert_allclose(runner.run({"x": x})["y"], x @ np.arange(12).reshape(4, 3), rtol=1e-5, atol=1e-5)


def test_an_operator_too_new_is_refused_by_name() -> None:
    """Dynamic-range models of today's converter need a newer FULLY_CONNECTED than this runtime has: MODEL_003 says so."""
    with refused(ErrorCode.MODEL_INVALID, "tflite-runtime refuses the model", "FULLY_CONNECTED"):
        load("int8dyn")


@pytest.mark.parametrize("values", [[300], [-1]])
def test_an_integer_out_of_range_is_refused(values: list[int]) -> None:
    """numpy 1.26 would wrap it around."""
    with pytest.raises(OverflowError):
        exact_array(values, DType.UINT8.numpy)


@pytest.mark.parametrize("damage", [b"", b"TFL3", b"\x1c\0\0\0TFL3 not a model"])
def test_a_damaged_file_is_refused(damage: bytes) -> None:
    """MODEL_003; the process lives on."""
    with refused(ErrorCode.MODEL_INVALID):
        LitertBackend().load({"model.tflite": damage}, options=RunnerOptions())


@pytest.mark.parametrize("delegate", DELEGATES, ids=lambda delegate: str(delegate.device))
def test_a_delegate_that_is_not_here_is_device_001(delegate: object) -> None:
    """The message names the delegate."""
    with refused(ErrorCode.DEVICE_UNAVAILABLE, "Delegate"):
        model = (MODELS / "linear.tflite").read_bytes()
        LitertBackend(delegate).load({"m.tflite": model}, options=RunnerOptions())  # type: ignore[arg-type]
