# SPDX-License-Identifier: Apache-2.0
"""The precision of ONNX files, as onnx itself and onnxruntime's quantizers write them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_dynamic,
    quantize_static,
)

from runners.backends.onnx.precision import precision_of

WEIGHTS = np.random.default_rng(1).normal(size=(4, 3)).astype(np.float32)


def linear(element: int) -> bytes:
    weights = numpy_helper.from_array(WEIGHTS.astype(helper.tensor_dtype_to_np_dtype(element)), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", element, ["batch", 4])],
        [helper.make_tensor_value_info("y", element, ["batch", 3])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("element", "name"),
    [
        (TensorProto.FLOAT, "fp32"),
        (TensorProto.FLOAT16, "fp16"),
        (TensorProto.DOUBLE, "fp64"),
        (TensorProto.BFLOAT16, "bf16"),
    ],
)
def test_weights_tell(element: int, name: str) -> None:
    """The datatype of most of them."""
    assert precision_of(linear(element)) == name


class Samples(CalibrationDataReader):  # type: ignore[misc] # onnxruntime has no types
    """Four batches."""

    def __init__(self) -> None:
        self._left = iter(np.random.default_rng(2).normal(size=(4, 2, 4)).astype(np.float32))

    def get_next(self) -> dict[str, np.ndarray] | None:
        sample = next(self._left, None)
        return None if sample is None else {"x": sample}


@pytest.mark.parametrize("form", [QuantFormat.QDQ, QuantFormat.QOperator], ids=str)
def test_quantized_files_tell_by_their_operators(tmp_path: Path, form: QuantFormat) -> None:
    """Static quantization is int8, dynamic int8dyn."""
    (tmp_path / "fp32.onnx").write_bytes(linear(TensorProto.FLOAT))
    source = str(tmp_path / "fp32.onnx")
    quantize_static(source, str(tmp_path / "static.onnx"), Samples(), quant_format=form)
    assert precision_of((tmp_path / "static.onnx").read_bytes()) == "int8"
    quantize_dynamic(source, str(tmp_path / "dynamic.onnx"), weight_type=QuantType.QInt8)
    assert precision_of((tmp_path / "dynamic.onnx").read_bytes()) == "int8dyn"


@pytest.mark.parametrize("data", [b"", b"\xff" * 40, b"\x3a\x7f\x01", linear(TensorProto.FLOAT)[:-1]])
def test_what_cannot_be_read_does_not_tell(data: bytes) -> None:
    """None, and no exception."""
    assert precision_of(data) is None
