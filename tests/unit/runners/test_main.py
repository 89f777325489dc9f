# SPDX-License-Identifier: Apache-2.0
"""``python -m runners inspect FILE`` as the registry runs it: a child process, one JSON line, an exit code."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from onnx import TensorProto, helper

ROOT = Path(__file__).resolve().parents[3]
MODEL_REFUSED = 3


def model(element: int = TensorProto.FLOAT) -> bytes:
    """A model of one node over one element type."""
    tensors = [helper.make_tensor_value_info(name, element, ["batch", 4]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "same", tensors[:1], tensors[1:])
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(proto.SerializeToString())


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "runners", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


def inspect(file: Path) -> tuple[int, dict[str, Any], str]:
    """Exit code, the one line on stdout, stderr."""
    done = run("inspect", str(file))
    lines = done.stdout.splitlines()
    assert len(lines) == 1, done.stderr
    return done.returncode, json.loads(lines[0]), done.stderr


def test_a_model_is_described(tmp_path: Path) -> None:
    """Exit code 0 and the tensors, the batch as -1."""
    (tmp_path / "model.onnx").write_bytes(model())
    code, answer, stderr = inspect(tmp_path / "model.onnx")
    assert (code, stderr) == (0, "")
    assert answer == {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 4]}],
        "precision": "fp32",
    }


def test_precision_is_that_of_the_floats(tmp_path: Path) -> None:
    """A model that takes and gives half precision says so."""
    (tmp_path / "model.onnx").write_bytes(model(TensorProto.FLOAT16))
    assert inspect(tmp_path / "model.onnx")[1]["precision"] == "fp16"


@pytest.mark.parametrize(
    "data", [b"", b"\0" * 64, b"GIF89a not a model", model()[:-9]], ids=["empty", "zeros", "garbage", "truncated"]
)
def test_what_is_no_model_is_refused(tmp_path: Path, data: bytes) -> None:
    """Exit code 3 and MODEL_003 with the runtime's reason, without a traceback or the path of the file."""
    (tmp_path / "model.onnx").write_bytes(data)
    code, answer, stderr = inspect(tmp_path / "model.onnx")
    assert code == MODEL_REFUSED
    assert answer["error"]["code"] == "MODEL_003"
    assert "onnxruntime refuses the model" in answer["error"]["message"]
    assert str(tmp_path) not in answer["error"]["message"]
    assert "Traceback" not in stderr


def test_a_file_that_cannot_be_read_is_a_usage_error(tmp_path: Path) -> None:
    """A missing file says nothing about a model: exit code 2, a sentence on stderr, nothing on stdout."""
    done = run("inspect", str(tmp_path / "absent.onnx"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "cannot be read" in done.stderr
    assert "Traceback" not in done.stderr
