# SPDX-License-Identifier: Apache-2.0
"""The onnxruntime backend passes the runner contract, and refuses what it must never execute."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from core.errors import ErrorCode, FuroshikiError, ModelError, TensorError, Unavailable
from core.tensors import Array
from runners.__main__ import inspect
from runners.backends.onnx.backend import OnnxBackend
from runners.backends.onnx.cuda import BoundSession
from runners.interface import Runner, RunnerOptions, StopSignal
from runners.testing import RunnerContract


def linear_model(weights: onnx.TensorProto) -> bytes:
    """``y = x @ w`` as an ONNX file."""
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "linear",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 3])],
        [weights],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    return bytes(model.SerializeToString())


def external(location: str) -> onnx.TensorProto:
    """The weights of ``linear_model``, stored outside the file."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4, 3], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


class TestOnnxCpu(RunnerContract):
    def make_runner(self, weights: Array) -> Runner:
        model = linear_model(numpy_helper.from_array(weights, "w"))
        return OnnxBackend().load({"model.onnx": model}, options=RunnerOptions(instances=2))


class TestOnnxBound(RunnerContract):
    """The way CUDA sessions run, with outputs bound on the CPU."""

    lends_results = False  # copied home from the device

    def make_runner(self, weights: Array) -> Runner:
        model = linear_model(numpy_helper.from_array(weights, "w"))
        runner = OnnxBackend().load({"model.onnx": model}, options=RunnerOptions(instances=2))
        runner._session = BoundSession(runner._session, runner.signature, device="cpu")
        return runner


@pytest.mark.parametrize("device", ["cuda", "tensorrt", "openvino"])
def test_a_device_that_is_not_here_is_stated(device: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The session is believed, not the build: the runner's name says what it is on, the log what was wanted."""
    runner = OnnxBackend(device).load(
        {"m.onnx": linear_model(numpy_helper.from_array(np.eye(4, 3, dtype=np.float32), "w"))}, options=RunnerOptions()
    )
    assert runner.name == "onnx-cpu"
    assert isinstance(runner._session, ort.InferenceSession)
    assert runner._session.get_providers() == ["CPUExecutionProvider"]
    said = capsys.readouterr().out
    assert "device_fallback" in said
    assert device in said
    assert runner.run({"x": np.ones((2, 4), np.float32)})["y"].shape == (2, 3)


def test_external_weights_come_from_the_bundle() -> None:
    """Weights in a second file of the bundle are used, and stay alive as long as the runner."""
    weights = np.arange(12, dtype=np.float32).reshape(4, 3)
    files = {"model.onnx": linear_model(external("weights.bin")), "weights.bin": weights.tobytes()}
    runner = OnnxBackend().load(files, options=RunnerOptions())
    del files
    x = np.ones((1, 4), dtype=np.float32)
    np.testing.assert_allclose(runner.run({"x": x})["y"], x @ weights)


def test_a_folder_with_external_weights_is_inspected() -> None:
    """`python -m runners inspect FOLDER` describes a model whose weights lie beside it."""
    weights = np.zeros(12, dtype=np.float32).tobytes()
    code, answer = inspect({"model.onnx": linear_model(external("weights.bin")), "weights.bin": weights})
    assert (code, answer["inputs"]) == (0, [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}])


def looping_model() -> bytes:
    """Counts to the number it is given: takes as long as its input says."""
    body = helper.make_graph(
        [helper.make_node("Identity", ["going"], ["still"]), helper.make_node("Add", ["sum_in", "one"], ["sum_out"])],
        "body",
        [
            helper.make_tensor_value_info("index", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum_in", TensorProto.FLOAT, []),
        ],
        [
            helper.make_tensor_value_info("still", TensorProto.BOOL, []),
            helper.make_tensor_value_info("sum_out", TensorProto.FLOAT, []),
        ],
    )
    graph = helper.make_graph(
        [helper.make_node("Loop", ["times", "", "zero"], ["total"], body=body)],
        "loop",
        [helper.make_tensor_value_info("times", TensorProto.INT64, [])],
        [helper.make_tensor_value_info("total", TensorProto.FLOAT, [])],
        [numpy_helper.from_array(np.array(value, np.float32), name) for name, value in (("zero", 0), ("one", 1))],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    return bytes(model.SerializeToString())


def test_an_execution_stops_when_it_is_asked_to() -> None:
    """A model that would run for years ends when its signal is given, and the runner stays usable."""
    runner = OnnxBackend().load({"loop.onnx": looping_model()}, options=RunnerOptions())
    stop = StopSignal()
    with ThreadPoolExecutor(1) as pool:
        endless = pool.submit(runner.run, {"times": np.array(2**62)}, stop)
        stop.stop()
        assert isinstance(endless.exception(timeout=30), FuroshikiError)
    assert runner.run({"times": np.array(3)})["total"] == 3


def test_an_output_the_device_has_no_memory_for() -> None:
    """A request for more memory than there is is refused as retryable; the process and the runner go on."""
    graph = helper.make_graph(
        [helper.make_node("ConstantOfShape", ["size"], ["y"])],
        "large",
        [helper.make_tensor_value_info("size", TensorProto.INT64, [1])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    runner = OnnxBackend().load({"m.onnx": model.SerializeToString()}, options=RunnerOptions())
    with pytest.raises(Unavailable) as caught:
        runner.run({"size": np.array([2**45])})
    assert caught.value.code is ErrorCode.DEVICE_UNAVAILABLE
    assert runner.run({"size": np.array([3])})["y"].shape == (3,)


def test_the_runtimes_own_file_format_is_refused(tmp_path: Path) -> None:
    """A file in onnxruntime's own format, which skips the checker, is not taken for ONNX."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "model.ort")
    options.add_session_config_entry("session.save_model_format", "ORT")
    good = linear_model(numpy_helper.from_array(np.zeros((4, 3), dtype=np.float32), "w"))
    ort.InferenceSession(good, options, providers=["CPUExecutionProvider"])
    with pytest.raises(ModelError):
        OnnxBackend().load({"m.onnx": (tmp_path / "model.ort").read_bytes()}, options=RunnerOptions())


@pytest.mark.parametrize("location", ["weights.bin", "./weights.bin", "../weights.bin", "sub/../weights.bin"])
def test_weights_outside_the_bundle_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, location: str) -> None:
    """A reference to a file that is not in the bundle is refused although the file exists in the working directory."""
    folder = tmp_path / "sub"
    folder.mkdir()
    for place in (folder, folder.parent):
        (place / "weights.bin").write_bytes(np.zeros(12, dtype=np.float32).tobytes())
    monkeypatch.chdir(folder)
    with pytest.raises(ModelError) as caught:
        OnnxBackend().load({"model.onnx": linear_model(external(location))}, options=RunnerOptions())
    assert caught.value.code is ErrorCode.MODEL_INVALID


def test_constant_with_external_data_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A constant node cannot smuggle in a file of the host either."""
    folder = tmp_path
    (folder / "weights.bin").write_bytes(np.zeros(12, dtype=np.float32).tobytes())
    monkeypatch.chdir(folder)
    graph = helper.make_graph(
        [helper.make_node("Constant", [], ["y"], value=external("weights.bin"))],
        "constant",
        [],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    with pytest.raises(ModelError):
        OnnxBackend().load({"model.onnx": model.SerializeToString()}, options=RunnerOptions())


@pytest.mark.parametrize("names", [[], ["a.onnx", "b.onnx"]])
def test_a_bundle_holds_exactly_one_model(names: list[str]) -> None:
    """None or two .onnx files are refused with the count."""
    with pytest.raises(ModelError, match=str(len(names))):
        OnnxBackend().load(dict.fromkeys(names, b""), options=RunnerOptions())


@pytest.mark.parametrize("damage", [b"", b"not a model", slice(0, 60)])
def test_a_damaged_file_is_refused_with_the_runtimes_reason(damage: bytes | slice) -> None:
    """Empty, foreign and truncated files give MODEL_003 with onnxruntime's own words."""
    good = linear_model(numpy_helper.from_array(np.zeros((4, 3), dtype=np.float32), "w"))
    data = good[damage] if isinstance(damage, slice) else damage
    with pytest.raises(ModelError, match=r"onnxruntime refuses the model: .+") as caught:
        OnnxBackend().load({"model.onnx": data}, options=RunnerOptions())
    assert caught.value.code is ErrorCode.MODEL_INVALID


def test_string_tensors_travel_as_utf8() -> None:
    """BYTES inputs reach the runtime as text; bytes that are not UTF-8 are the caller's error."""
    graph = helper.make_graph(
        [helper.make_node("Identity", ["x"], ["y"])],
        "identity",
        [helper.make_tensor_value_info("x", TensorProto.STRING, ["batch"])],
        [helper.make_tensor_value_info("y", TensorProto.STRING, ["batch"])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    model.ir_version = 9
    runner = OnnxBackend().load({"m.onnx": model.SerializeToString()}, options=RunnerOptions())
    words = np.array([b"bento", "包む".encode()], dtype=object)
    assert runner.run({"x": words})["y"].tolist() == ["bento", "包む"]
    with pytest.raises(TensorError) as caught:
        runner.run({"x": np.array([b"\xff"], dtype=object)})
    assert caught.value.code is ErrorCode.TENSOR_DATA
