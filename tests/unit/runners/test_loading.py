# SPDX-License-Identifier: Apache-2.0
"""From verified bundles to runners: what is loaded and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from artifacts.signing.verifier import VerifiedBundle
from artifacts.testing import make_bundle, refused
from core.errors import ErrorCode, Unavailable
from core.tensors import ANY, DType, Signature, TensorSpec
from runners.interface import RunnerOptions
from runners.loading import open_runner

SIGNATURE = Signature(
    inputs=(TensorSpec(name="x", dtype=DType.FP32, shape=(ANY, 2)),),
    outputs=(TensorSpec(name="y", dtype=DType.FP32, shape=(ANY, 2)),),
)


def doubling() -> bytes:
    """``y = x + x`` as an ONNX file."""
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "doubling", tensors[:1], tensors[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return bytes(model.SerializeToString())


def verified(files: dict[str, bytes] | None = None, **fields: Any) -> VerifiedBundle:
    return make_bundle(files or {"model.onnx": doubling()}, **{"signature": SIGNATURE, **fields}).verify()


def test_a_verified_bundle_runs() -> None:
    """The runner computes what the signed file says."""
    runner = open_runner(verified(), options=RunnerOptions())
    np.testing.assert_array_equal(runner.run({"x": np.ones((1, 2), dtype=np.float32)})["y"], [[2, 2]])
    runner.close()
    with pytest.raises(Unavailable):
        runner.run({"x": np.ones((1, 2), dtype=np.float32)})


@pytest.mark.parametrize("device", ["cuda", "tensorrt", "openvino", "abacus"])
def test_a_variant_for_a_device_that_is_not_here_runs_on_the_cpu(
    device: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """The runner's name, which clients see as the model's platform, says so, and the log has the reason."""
    runner = open_runner(verified(variant=f"onnx-fp32/{device}"), options=RunnerOptions())
    assert runner.name == "onnx-cpu"
    said = capsys.readouterr().out
    assert "device_fallback" in said
    assert device in said
    assert "reason" in said


def test_an_unknown_format_is_device_001() -> None:
    """A format no backend here loads is named, with those that are."""
    with refused(ErrorCode.DEVICE_UNAVAILABLE, "'caffe'", "onnx"):
        open_runner(verified(format="caffe"), options=RunnerOptions())


@pytest.mark.parametrize(
    "declared",
    [
        replace(SIGNATURE, inputs=(TensorSpec(name="x", dtype=DType.FP32, shape=(ANY, 3)),)),
        replace(SIGNATURE, inputs=(TensorSpec(name="x", dtype=DType.FP64, shape=(ANY, 2)),)),
        replace(SIGNATURE, inputs=(TensorSpec(name="z", dtype=DType.FP32, shape=(ANY, 2)),)),
        replace(SIGNATURE, outputs=(*SIGNATURE.outputs, TensorSpec(name="z", dtype=DType.FP32, shape=(ANY, 2)))),
    ],
    ids=["shape", "datatype", "name", "count"],
)
def test_other_tensors_than_declared_are_model_003(declared: Signature) -> None:
    """A model whose tensors are not those of its signed manifest is refused, naming the version."""
    with refused(ErrorCode.MODEL_INVALID, "acme/digits@3"):
        open_runner(verified(signature=declared), options=RunnerOptions())


@pytest.mark.parametrize(
    "files",
    [{"model.onnx": b"not a model"}, {"model.onnx": doubling()[:-20]}, {"weights.bin": b"1"}],
    ids=["garbage", "truncated", "absent"],
)
def test_what_the_runtime_refuses_is_model_003(files: dict[str, bytes]) -> None:
    """A validly signed file that is no model is refused by the runtime, not executed."""
    with refused(ErrorCode.MODEL_INVALID):
        open_runner(verified(files), options=RunnerOptions())
