# SPDX-License-Identifier: Apache-2.0
"""ONNX models quantized by onnxruntime."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from converters.interface import ConvertOptions
from converters.quantization.onnx import static

RNG = np.random.default_rng(20260101)
ROWS = RNG.random((64, 8), dtype=np.float32)
WEIGHTS = RNG.standard_normal((8, 4)).astype(np.float32)
BIAS = RNG.standard_normal(4).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Calibration data for a model of one product."""
    (tmp_path / "calibration").mkdir()
    np.savez(tmp_path / "calibration" / "calibration.npz", X=ROWS)
    return tmp_path


def product(bias: tuple[int, ...]) -> onnx.ModelProto:
    """``y = X W + b``, with the bias in that shape."""
    values = {"W": WEIGHTS, "b": BIAS.reshape(bias)}
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["X", "W"], ["xw"]), helper.make_node("Add", ["xw", "b"], ["y"])],
        "product",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["rows", 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 4])],
        [numpy_helper.from_array(array, name) for name, array in values.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


@pytest.mark.parametrize("bias", [(4,), (1, 4)], ids=str)
def test_a_product_with_a_bias_becomes_int8(folder: Path, bias: tuple[int, ...]) -> None:
    """Also one written as a row, as scikit-learn's networks have it; the result is close to the product itself."""
    import onnxruntime

    source, target, scratch = (folder / name for name in ("source", "target", "scratch"))
    for made in (source, target, scratch):
        made.mkdir()
    onnx.save(product(bias), source / "model.onnx")
    static(source, target, ConvertOptions(precision="int8", calibration=folder / "calibration", scratch=scratch))
    session = onnxruntime.InferenceSession(target / "model.onnx", providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"X": ROWS})
    assert np.abs(y - (ROWS @ WEIGHTS + BIAS)).max() < 0.1
    assert "QuantizeLinear" in {node.op_type for node in onnx.load(target / "model.onnx").graph.node}
