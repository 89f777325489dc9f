# SPDX-License-Identifier: Apache-2.0
"""Models whose duration and failure the request decides, and how they are asked."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final

import httpx
import numpy as np
import onnxruntime as ort
from onnx import ModelProto, TensorProto, helper, numpy_helper

from core.tensors import ANY, DType, Signature, TensorSpec

OPSET: Final = [helper.make_opsetid("", 18)]
IR: Final = 9
BUSY: Final = Signature(  # of ``busy``
    inputs=(
        TensorSpec(name="x", dtype=DType.FP32, shape=(ANY, ANY)),
        TensorSpec(name="loops", dtype=DType.INT64, shape=(ANY, 1)),
        TensorSpec(name="pick", dtype=DType.INT64, shape=(ANY, 1)),
    ),
    outputs=(TensorSpec(name="y", dtype=DType.FP32, shape=(ANY, ANY)),),
)
SIDE: Final = 128  # of the matrix that is multiplied to pass time


def busy() -> ModelProto:
    """``y = 2 x`` [-1, -1] after ``max(loops)`` matrix products; fails on any ``pick`` but 0."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", "width"])
    loops, pick = (helper.make_tensor_value_info(name, TensorProto.INT64, ["rows", 1]) for name in ("loops", "pick"))
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", "width"])
    constants = {
        "one": np.ones((SIDE, SIDE), dtype=np.float32),
        "unit": np.eye(SIDE, dtype=np.float32),
        "zero": np.zeros(1, dtype=np.float32),
        "nothing": np.zeros((), dtype=np.float32),
        "always": np.array(True),
        "all": np.array([0, 1], dtype=np.int64),
    }
    nodes = [
        helper.make_node("ReduceMax", ["loops"], ["longest"], keepdims=0),
        helper.make_node("Loop", ["longest", "always", "one"], ["product"], body=_body()),
        helper.make_node("ReduceSum", ["product", "all"], ["sum"], keepdims=0),
        helper.make_node("Mul", ["sum", "nothing"], ["spent"]),
        helper.make_node("Gather", ["zero", "pick"], ["picked"]),
        helper.make_node("Add", ["x", "x"], ["double"]),
        helper.make_node("Add", ["double", "spent"], ["later"]),
        helper.make_node("Add", ["later", "picked"], ["y"]),
    ]
    weights = [numpy_helper.from_array(array, name) for name, array in constants.items()]
    graph = helper.make_graph(nodes, "busy", [x, loops, pick], [y], weights)
    return helper.make_model(graph, opset_imports=OPSET, ir_version=IR)


def _body() -> Any:
    scalar = [
        helper.make_tensor_value_info("number", TensorProto.INT64, []),
        helper.make_tensor_value_info("before", TensorProto.BOOL, []),
    ]
    matrix = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [SIDE, SIDE]) for name in ("m_in", "m_out")]
    after = helper.make_tensor_value_info("after", TensorProto.BOOL, [])
    nodes = [
        helper.make_node("MatMul", ["m_in", "unit"], ["m_out"]),
        helper.make_node("Identity", ["before"], ["after"]),
    ]
    return helper.make_graph(nodes, "body", [*scalar, matrix[0]], [after, matrix[1]])


def same(name: str, onnx: int, width: int) -> ModelProto:
    """``y = x`` [-1, width] of one element type."""
    x, y = (helper.make_tensor_value_info(tensor, onnx, ["rows", width]) for tensor in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], name, [x], [y])
    return helper.make_model(graph, opset_imports=OPSET, ir_version=IR)


def heavy(megabytes: int) -> ModelProto:
    """``y = x @ w`` [-1, 1024] with ``w`` of so many million bytes of noise, which no page of memory can share."""
    width = megabytes * 2**20 // 4 // 1024
    weight = np.random.default_rng(0).random((width, 1024), dtype=np.float32)
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", width])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 1024])
    node = helper.make_node("MatMul", ["x", "w"], ["y"])
    graph = helper.make_graph([node], "heavy", [x], [y], [numpy_helper.from_array(weight, "w")])
    return helper.make_model(graph, opset_imports=OPSET, ir_version=IR)


def loops_per_second() -> float:
    """How many loops of ``busy`` this machine does in a second, on one thread."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(busy().SerializeToString(), options, providers=["CPUExecutionProvider"])
    feed = {"x": np.zeros((1, 1), dtype=np.float32), "pick": np.zeros((1, 1), dtype=np.int64)}
    loops, best = 500, 0.0
    for _ in range(6):  # the fastest of several: others may be at work
        started = time.perf_counter()
        session.run(None, {**feed, "loops": np.array([[loops]])})
        best = max(best, loops / (time.perf_counter() - started))
        loops = int(best * 0.2)
    return best


def tensor(name: str, datatype: str, rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """A tensor as the Open Inference Protocol writes it."""
    return {
        "name": name,
        "datatype": datatype,
        "shape": [len(rows), len(rows[0])],
        "data": [v for r in rows for v in r],
    }


def asked(
    row: Sequence[float], *, loops: int = 0, pick: int = 0, datatype: str = "FP32", timeout_s: float | None = None
) -> dict[str, Any]:
    """A request of one row to ``busy``."""
    body: dict[str, Any] = {
        "inputs": [tensor("x", datatype, [row]), tensor("loops", "INT64", [[loops]]), tensor("pick", "INT64", [[pick]])]
    }
    return body if timeout_s is None else {**body, "parameters": {"timeout": int(timeout_s * 1e6)}}


def numbers(response: httpx.Response) -> list[float]:
    """The values of the only output of a good answer."""
    assert response.status_code == 200, response.text
    (output,) = response.json()["outputs"]
    values: list[float] = output["data"]
    return values


def code(response: httpx.Response) -> str:
    """The stable code of a refusal."""
    return str(response.headers.get("x-furoshiki-error", ""))
