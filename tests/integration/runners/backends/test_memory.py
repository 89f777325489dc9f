# SPDX-License-Identifier: Apache-2.0
"""Memory comes back when a model is unloaded: 200 loads and unloads of each backend, and the slope they leave."""

from __future__ import annotations

import ctypes
import gc
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import onnx
import psutil
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from runners.interface import Backend, RunnerOptions
from runners.loading import backend_of
from tests.integration.runners.backends.models import linear_tflite, saved_model

ROUNDS = 200
WARM = 40  # first rounds, in which runtimes fill what they keep
LEAKED = 0.02  # of the model's size per round that would still pass; a leak of one buffer is 1
SIDE = 512  # the model is SIDE x SIDE floats, 1 MiB
_LIBC = ctypes.CDLL(None)

Files = Mapping[str, bytes]


def onnx_files(weights: np.ndarray, folder: Path) -> Files:
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", weights.shape[0]])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", weights.shape[1]])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return {"model.onnx": bytes(model.SerializeToString())}


def script_files(weights: np.ndarray, folder: Path) -> Files:
    linear = torch.nn.Linear(*weights.shape, bias=False).eval()
    declared = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, weights.shape[0]]}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, weights.shape[1]]}],
    }
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.script(linear), buffer, _extra_files={"signature.json": json.dumps(declared)})
    return {"model.pt": buffer.getvalue()}


def tflite_files(weights: np.ndarray, folder: Path) -> Files:
    return {"model.tflite": linear_tflite(weights, width=weights.shape[0])}


def saved_model_files(weights: np.ndarray, folder: Path) -> Files:
    return saved_model(weights, folder)


def slope(backend: Backend, files: Files, rounds: int) -> float:
    """Bytes that each load, run and unload leaves, by least squares over the rounds after the warm-up."""
    process, sizes = psutil.Process(), []
    gc.freeze()  # the runtimes' own objects, which every collection would walk through
    for _ in range(rounds):
        runner = backend.load(files, options=RunnerOptions())
        spec = runner.signature.inputs[0]
        runner.run({spec.name: np.ones((1, spec.shape[1]), np.float32)})
        runner.close()
        del runner
        gc.collect()
        _LIBC.malloc_trim(0)  # what is free goes back to the system, so that only what is kept counts
        sizes.append(process.memory_info().rss)
    gc.unfreeze()
    kept = np.array(sizes[WARM:], dtype=np.float64)
    return float(np.polyfit(np.arange(len(kept)), kept, 1)[0])


@pytest.mark.parametrize(
    ("name", "make"),
    [("onnx", onnx_files), ("tflite", tflite_files), ("torchscript", script_files), ("saved_model", saved_model_files)],
)
def test_memory_comes_back(name: str, make: Callable[[np.ndarray, Path], Files], tmp_path: Path) -> None:
    """200 loads and unloads leave next to nothing each."""
    weights = np.random.default_rng(1).normal(size=(SIDE, SIDE)).astype(np.float32)
    left = slope(backend_of(name), make(weights, tmp_path / "model"), ROUNDS)
    print(f"{name}: {left:,.0f} bytes per load and unload of {weights.nbytes:,} bytes, over {ROUNDS}")
    assert left < LEAKED * weights.nbytes
