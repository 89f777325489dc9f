# SPDX-License-Identifier: Apache-2.0
"""What the inspecting child says is checked like any other input."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from core.errors import ErrorCode, ModelError
from core.tensors import DType, TensorSpec
from registry_api.models.uploads.answer import REFUSED, read_answer
from registry_api.models.uploads.child import ChildResult

TENSOR = {"name": "x", "datatype": "FP32", "shape": [-1, 4]}


def result(answer: Any, status: int = 0) -> ChildResult:
    data = answer if isinstance(answer, bytes) else orjson.dumps(answer)
    return ChildResult(status=status, answer=data, stderr="trace")


def test_a_description_becomes_a_signature() -> None:
    """Names, datatypes and shapes."""
    signature, precision = read_answer(
        "model.onnx", result({"inputs": [TENSOR], "outputs": [TENSOR], "precision": "fp32"})
    )
    assert signature.inputs == (TensorSpec(name="x", dtype=DType.FP32, shape=(-1, 4)),)
    assert precision == "fp32"


def test_a_refusal_carries_the_runtimes_reason() -> None:
    """MODEL_003, on one printable line."""
    with pytest.raises(ModelError) as caught:
        read_answer("model.onnx", result({"error": {"code": "MODEL_003", "message": "bad\x1b[2J graph."}}, REFUSED))
    assert caught.value.code is ErrorCode.MODEL_INVALID
    assert caught.value.message == "File 'model.onnx' cannot be used: bad [2J graph."


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"{",
        {"inputs": [], "outputs": [TENSOR], "precision": "fp32"},
        {"inputs": [{**TENSOR, "datatype": "COMPLEX"}], "outputs": [TENSOR], "precision": "fp32"},
        {"inputs": [{**TENSOR, "name": "a\x00"}], "outputs": [TENSOR], "precision": "fp32"},
        {"inputs": [{**TENSOR, "shape": [-2]}], "outputs": [TENSOR], "precision": "fp32"},
        {"inputs": [TENSOR], "outputs": [TENSOR], "precision": "../x"},
    ],
)
def test_an_answer_nobody_could_use_refuses_the_model(answer: Any) -> None:
    """Nothing, broken JSON, no inputs, unknown datatypes, odd names, shapes and precisions."""
    with pytest.raises(ModelError):
        read_answer("model.onnx", result(answer))


def test_a_child_that_fails_by_itself_is_our_fault() -> None:
    """Not the model's: an exception that becomes a 500, with the child's stderr for the log."""
    with pytest.raises(RuntimeError, match="trace"):
        read_answer("model.onnx", result(b"", status=1))
