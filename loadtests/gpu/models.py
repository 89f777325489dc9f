# SPDX-License-Identifier: Apache-2.0
"""Models of the contract and of the benchmark, built in code. Their weights are random or fixed: they are synthetic."""

from __future__ import annotations

import io
import json
from itertools import pairwise
from typing import Any, Final

import torch
from onnx import TensorProto, helper, numpy_helper

from core.tensors import ANY, Array, DType, Signature, TensorSpec

_DECLARED: Final = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
}


class Linear(torch.nn.Module):  # type: ignore[misc] # torch is not followed
    """``y = x @ w``."""

    def __init__(self, weights: Array) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.from_numpy(weights))

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"y": x @ self.w}


def linear_onnx(weights: Array) -> bytes:
    """``y = x @ w`` as an ONNX file."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", weights.shape[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", weights.shape[1]])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def linear_script(weights: Array) -> bytes:
    """The same as a TorchScript file for four inputs and three outputs."""
    buffer = io.BytesIO()
    module = torch.jit.script(Linear(weights).eval())
    torch.jit.save(module, buffer, _extra_files={"signature.json": json.dumps(_DECLARED)})
    return buffer.getvalue()


def linear_program(weights: Array) -> bytes:
    """The same as a ``torch.export`` program."""
    buffer = io.BytesIO()
    shapes = {"x": {0: torch.export.Dim("batch", min=1, max=4096)}}
    sample = torch.ones(2, weights.shape[0])
    torch.export.save(torch.export.export(Linear(weights).eval(), (sample,), dynamic_shapes=shapes), buffer)
    return buffer.getvalue()


def layers(model: str) -> tuple[Any, Signature]:
    """A module on the CPU with weights from a fixed seed, and its tensors.

    Args:
        model: ``mlp``, many small kernels; ``convolutions``, few large ones.
    """
    torch.manual_seed(7)
    shape = {"mlp": (64,), "convolutions": (3, 64, 64)}[model]
    module = _mlp() if model == "mlp" else _convolutions()
    x = TensorSpec(name="x", dtype=DType.FP32, shape=(ANY, *shape))
    y = TensorSpec(name="y", dtype=DType.FP32, shape=(ANY, 10))
    return module.eval(), Signature(inputs=(x,), outputs=(y,))


def _mlp() -> Any:
    hidden = [layer for _ in range(10) for layer in (torch.nn.Linear(512, 512), torch.nn.ReLU())]
    return torch.nn.Sequential(torch.nn.Linear(64, 512), torch.nn.ReLU(), *hidden, torch.nn.Linear(512, 10))


def _convolutions() -> Any:
    sizes = (3, 32, 64, 128, 256)
    convolutions = [
        layer
        for given, made in pairwise(sizes)
        for layer in (torch.nn.Conv2d(given, made, 3, stride=2, padding=1), torch.nn.ReLU())
    ]
    return torch.nn.Sequential(
        *convolutions, torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(sizes[-1], 10)
    )
