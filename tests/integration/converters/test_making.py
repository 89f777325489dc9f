# SPDX-License-Identifier: Apache-2.0
"""Whole conversions: several precisions at once, a named route, reproducibility, inspection."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from converters.reproduce import NAME
from converters.sandbox import REPOSITORY
from converters.testing import Source, convert
from core.confinement import abi
from core.errors import ErrorCode
from core.tensors import DType, Signature, TensorSpec
from tests.integration.converters.models import sklearn_factory

XY = Signature(
    inputs=(TensorSpec(name="x", dtype=DType.FP32, shape=(-1, 64)),),
    outputs=(TensorSpec(name="y", dtype=DType.FP32, shape=(-1, 10)),),
)


@pytest.fixture(scope="module")
def dense() -> Source:
    """Two dense layers in ONNX, weights of a seed."""
    random = np.random.default_rng(7)
    weights = {
        "a": random.normal(size=(64, 128)).astype(np.float32) / 8,
        "b": random.normal(size=(128, 10)).astype(np.float32) / 8,
    }
    nodes = [
        helper.make_node("MatMul", ["x", "a"], ["h"]),
        helper.make_node("Relu", ["h"], ["r"]),
        helper.make_node("MatMul", ["r", "b"], ["y"]),
    ]
    tensors = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 64])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])
    graph = helper.make_graph(nodes, "g", [x], [y], tensors)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    metadata = {"batching.max_rows": "32", "accuracy": "0.9"}
    return Source(format="onnx", files={"model.onnx": model.SerializeToString()}, signature=XY, metadata=metadata)


def test_auto_tries_what_is_sensible(tmp_path: Path, dense: Source) -> None:
    """With auto every precision that suits the kind of model is made and judged, and the answer says why."""
    outcome = convert(dense, "onnx-int8dyn/cpu", tmp_path, auto=True)
    assert outcome.answer is not None, (outcome.message, outcome.stderr[-3000:])
    found = {each.precision: each for each in outcome.answer.candidates}
    assert {"int8dyn", "fp16"} == set(found)
    assert outcome.answer.advice.startswith("Kind of model: dense. ")
    assert "calibration" in outcome.answer.advice
    assert outcome.answer.environment["network"].startswith("none (")
    assert outcome.answer.environment["files"] == f"confined (landlock {abi()})"
    for each in found.values():
        assert each.accepted == (each.report.verdict == "accepted")
        assert each.metadata == {"batching.max_rows": "32"}
        folder = outcome.output / each.variant.replace("/", "_")
        assert sorted(path.name for path in folder.iterdir()) == sorted(each.files)
    assert outcome.stages[0]["stage"] == "verify"
    assert {"convert", "measure", "inspect", "done"} <= {stage["stage"] for stage in outcome.stages}


def test_a_rejected_candidate_is_a_result(tmp_path: Path, dense: Source) -> None:
    """A candidate beyond the bounds is answered with its report, and the exit code is that of success."""
    outcome = convert(dense, "onnx-int8dyn/cpu", tmp_path, thresholds={"cosine": 1.0})
    assert outcome.answer is not None, outcome.message
    (found,) = outcome.answer.candidates
    assert (outcome.status, found.accepted) == (0, False)
    assert found.reasons
    assert "cosine" in found.reasons[0]


def test_the_same_conversion_writes_the_same_bytes(tmp_path: Path, dense: Source) -> None:
    """Made twice from one spec a variant has the same files, reproduce.json included."""
    folders = []
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        outcome = convert(dense, "onnx-fp16/cpu", tmp_path / name)
        assert outcome.answer is not None, outcome.message
        folders.append(outcome.output / "onnx-fp16_cpu")
    first, second = ({path.name: path.read_bytes() for path in folder.iterdir()} for folder in folders)
    document: Any = json.loads(first.pop(NAME))
    assert document | {"source": ""} == json.loads(second.pop(NAME)) | {"source": ""}  # signed twice, so named twice
    assert first == second
    assert document["environment"]["used"]["onnx"] == onnx.__version__


@pytest.mark.parametrize(
    ("route", "reason"),
    [
        (("keras_to_saved_model",), "reads keras, not onnx"),
        (("onnx_to_int8dyn",), "ends at onnx in int8dyn; the target is onnx in fp16"),
        (("nonsense",), "There is no recipe 'nonsense'"),
    ],
)
def test_a_route_that_does_not_lead_there_is_refused(
    tmp_path: Path, dense: Source, route: tuple[str, ...], reason: str
) -> None:
    """A named route is checked step by step before anything runs."""
    outcome = convert(dense, "onnx-fp16/cpu", tmp_path, route=route)
    assert outcome.status == 3
    assert reason in outcome.message


def test_calibration_that_is_missing_is_refused(tmp_path: Path, dense: Source) -> None:
    """Static quantization without calibration data is refused with what to give."""
    outcome = convert(dense, "onnx-int8/cpu", tmp_path)
    assert (outcome.status, outcome.code) == (3, str(ErrorCode.MODEL_INVALID))
    assert "alibration" in outcome.message
    assert list(outcome.output.iterdir()) == []


def test_inspect_reads_a_factory(tmp_path: Path) -> None:
    """The inputs are the description's, the outputs what the module really gives."""
    for path, data in sklearn_factory("logistic").files.items():
        (tmp_path / path).write_bytes(data)
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "converters", "inspect", str(tmp_path)],
        capture_output=True,
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "PYTHONPATH": str(REPOSITORY)},
    )
    assert ended.returncode == 0, ended.stderr.decode()
    assert json.loads(ended.stdout) == {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 64]}],
        "outputs": [
            {"name": "label", "datatype": "INT64", "shape": [-1]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 10]},
        ],
        "precision": "fp32",
    }
