# SPDX-License-Identifier: Apache-2.0
"""Hostile and broken models, and a machine that runs out of something: a coded error, and nothing is left behind."""

from __future__ import annotations

import io
import json
import os
import pickle
import signal
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import psutil
import pytest
from onnx import TensorProto, helper
from safetensors.numpy import save

from converters.testing import Outcome, Source, convert, ended, prepare, start
from core.errors import ErrorCode
from core.tensors import DType, Signature, TensorSpec

X = TensorSpec(name="x", dtype=DType.FP32, shape=(-1, 4))
Y = TensorSpec(name="y", dtype=DType.FP32, shape=(-1, 4))
XY = Signature(inputs=(X,), outputs=(Y,))


def factory(code: str, weights: bytes | None = None) -> Source:
    """A scikit-learn factory with this code: the framework that is imported fastest."""
    description = {"framework": "sklearn", "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]}
    files = {
        "factory.json": json.dumps(description).encode(),
        "factory.py": code.encode(),
        "weights.safetensors": save({"a": np.zeros(1)}) if weights is None else weights,
    }
    return Source(format="factory", files=files, signature=XY)


def archive(name: str, entries: dict[str, bytes]) -> dict[str, bytes]:
    """A zip archive as the only file of a model."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for entry, data in entries.items():
            file.writestr(entry, data)
    return {name: buffer.getvalue()}


def onnx_source(*nodes: onnx.NodeProto, opset: tuple[str, int] = ("", 18), initializers: Any = ()) -> Source:
    """An ONNX model from x to y."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n", 4]) for name in "xy")
    graph = helper.make_graph(list(nodes), "g", [x], [y], list(initializers))
    imports = [helper.make_opsetid("", 18), *([helper.make_opsetid(*opset)] if opset[0] else [])]
    model = helper.make_model(graph, opset_imports=imports, ir_version=9)
    return Source(format="onnx", files={"model.onnx": model.SerializeToString()}, signature=XY)


def refused(outcome: Outcome, code: ErrorCode, reason: str) -> None:
    """The conversion ended with this error, and neither files nor processes are left."""
    assert (outcome.status, outcome.code) == (3, str(code)), (outcome.message, outcome.stderr[-2000:])
    assert reason in outcome.message
    assert not outcome.output.exists() or list(outcome.output.iterdir()) == []
    assert left_of(outcome.output.parent) == []


def left_of(place: Path) -> list[str]:
    """Processes whose command line or working folder lies in a folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if str(place) in " ".join(process.cmdline()) and process.status() != psutil.STATUS_ZOMBIE:
                found.append(" ".join(process.cmdline()))
        except psutil.Error:
            continue
    return found


class Payload:
    """What runs when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Path.touch, (self.path,)


def test_a_pickle_among_the_files_is_refused(tmp_path: Path) -> None:
    """A file that is a pickle by its name is refused before anything is read."""
    payload = tmp_path / "payload"
    source = factory("def build(): ...")
    source = Source(format="factory", files={**source.files, "extra.pkl": pickle.dumps(Payload(payload))}, signature=XY)
    refused(convert(source, "onnx-fp32/cpu", tmp_path), ErrorCode.MODEL_INVALID, "is a pickle by its name")
    assert not payload.exists()


def test_a_pickle_within_a_program_never_runs(tmp_path: Path) -> None:
    """A ``.pt2`` archive that has torch unpickle an object is refused from its directory."""
    payload = tmp_path / "payload"
    entries = {
        "model/archive_format": b"pt2",
        "model/archive_version": b"0",
        "model/.data/version": b"3\n",
        "model/data/constants/model_constants_config.json": json.dumps(
            {"config": {"c": {"path_name": "opaque_obj_0", "use_pickle": True}}}
        ).encode(),
        "model/data/constants/opaque_obj_0": pickle.dumps(Payload(payload)),
    }
    source = Source(format="torch_export", files=archive("model.pt2", entries), signature=XY)
    refused(convert(source, "onnx-fp32/cpu", tmp_path), ErrorCode.MODEL_INVALID, "pickle")
    assert not payload.exists()


def test_a_pickle_in_the_place_of_weights_never_runs(tmp_path: Path) -> None:
    """Weights that are a pickle by content are refused by safetensors."""
    payload = tmp_path / "payload"
    source = factory("def build(): ...", weights=pickle.dumps(Payload(payload)))
    outcome = convert(source, "onnx-fp32/cpu", tmp_path)
    refused(outcome, ErrorCode.MODEL_INVALID, "weights.safetensors cannot be read")
    assert not payload.exists()


def test_a_zip_bomb_is_refused(tmp_path: Path) -> None:
    """A ``.keras`` archive that would unpack to a thousand times its size is refused unpacked."""
    source = Source(format="keras", files=archive("model.keras", {"model.weights.h5": bytes(1 << 27)}), signature=XY)
    refused(convert(source, "tflite-fp32/cpu", tmp_path), ErrorCode.MODEL_INVALID, "zip bomb")


def test_external_data_outside_is_refused(tmp_path: Path) -> None:
    """An ONNX file whose weights lie outside its folder is refused by the location."""
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[4], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="../../../../../../etc/passwd")
    source = onnx_source(helper.make_node("Add", ["x", "w"], ["y"]), initializers=[tensor])
    refused(convert(source, "tflite-fp32/cpu", tmp_path), ErrorCode.MODEL_INVALID, "etc/passwd")


def test_an_operation_nobody_has_is_refused(tmp_path: Path) -> None:
    """A custom operation is named in the reason."""
    source = onnx_source(helper.make_node("Frobnicate", ["x"], ["y"], domain="acme.ops"), opset=("acme.ops", 1))
    refused(convert(source, "tflite-fp32/cpu", tmp_path), ErrorCode.MODEL_INVALID, "Frobnicate")


def test_a_cycle_is_refused(tmp_path: Path) -> None:
    """A graph whose nodes need each other is refused by the checker."""
    nodes = (helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Add", ["a", "x"], ["b"]))
    source = onnx_source(*nodes, helper.make_node("Identity", ["b"], ["y"]))
    refused(convert(source, "tflite-fp32/cpu", tmp_path), ErrorCode.MODEL_INVALID, "sorted")


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    """A NaN among the weights is refused by the weight's name."""
    code = "from sklearn.linear_model import LinearRegression\ndef build():\n    return LinearRegression()\n"
    source = factory(code, save({"coef_": np.array([[1.0, np.nan, 0.0, 0.0]])}))
    refused(convert(source, "onnx-fp32/cpu", tmp_path), ErrorCode.MODEL_INVALID, "weight 'coef_' holds NaN")


def test_a_model_of_another_framework_is_refused(tmp_path: Path) -> None:
    """What build() gives is checked."""
    refused(
        convert(factory("def build():\n    return 5\n"), "onnx-fp32/cpu", tmp_path),
        ErrorCode.MODEL_INVALID,
        "gave a int",
    )


def test_a_step_that_never_ends_is_ended(tmp_path: Path) -> None:
    """When the budget is used the step and what it started are killed."""
    code = "import subprocess, time\ndef build():\n    subprocess.Popen(['sleep', '600'])\n    time.sleep(600)\n"
    refused(convert(factory(code), "onnx-fp32/cpu", tmp_path, budget_s=12.0), ErrorCode.JOB_TIMEOUT, "it was ended")


def test_memory_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    """A model that asks for more memory than it may use is refused with the limit."""
    code = "import numpy\ndef build():\n    return numpy.ones(1 << 33)\n"
    outcome = convert(factory(code), "onnx-fp32/cpu", tmp_path, memory_bytes=8 << 30)
    refused(outcome, ErrorCode.MODEL_INVALID, "emory")


@pytest.mark.parametrize("mode", ["r", "w"])
def test_a_factory_reaches_no_file_of_others(tmp_path: Path, mode: str) -> None:
    """What lies outside is neither read nor changed, whoever owns it."""
    key = tmp_path / "signing.key"
    key.write_text("secret")
    code = f"def build():\n    return open({str(key)!r}, {mode!r})\n"
    refused(convert(factory(code), "onnx-fp32/cpu", tmp_path), ErrorCode.MODEL_INVALID, "Permission denied")
    assert key.read_text() == "secret"


def test_a_step_that_crashes_is_an_error(tmp_path: Path) -> None:
    """A crash of native code is told with its signal."""
    code = "import os, signal\ndef build():\n    os.kill(os.getpid(), signal.SIGSEGV)\n"
    refused(convert(factory(code), "onnx-fp32/cpu", tmp_path), ErrorCode.JOB_FAILED, "SIGSEGV")


def test_a_full_disk_is_an_error(tmp_path: Path) -> None:
    """When nothing more can be written the error says so."""
    source = onnx_source(helper.make_node("Identity", ["x"], ["y"]))
    source = Source(format="onnx", files={**source.files, "weights.bin": bytes(1 << 21)}, signature=XY)
    outcome = convert(source, "onnx-fp16/cpu", tmp_path, file_bytes=1 << 20)
    refused(outcome, ErrorCode.STORE_FULL, "cannot read or write its files")


def test_a_tampered_bundle_is_refused(tmp_path: Path) -> None:
    """The bundle is verified again: one changed byte and nothing is converted."""
    spec = prepare(onnx_source(helper.make_node("Identity", ["x"], ["y"])), "onnx-fp16/cpu", tmp_path)
    model = tmp_path / "bundle" / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"!")
    child = start(spec)
    refused(ended(tmp_path, child.wait(), *child.communicate()), ErrorCode.DIGEST_MISMATCH, "model.onnx")


@pytest.mark.slow
def test_code_within_a_keras_archive_never_runs(tmp_path: Path) -> None:
    """A Lambda layer, whose code lies in the archive, is refused, and its code does not run."""
    import keras

    payload, archive_path = tmp_path / "payload", tmp_path / "model.keras"

    place = str(payload)
    code = f"lambda x: (__import__('pathlib').Path({place!r}).touch(), x)[1]"
    layer = keras.layers.Lambda(eval(code), output_shape=(4,))
    keras.Sequential([keras.Input((4,)), layer]).save(archive_path)
    payload.unlink(missing_ok=True)
    source = Source(format="keras", files={"model.keras": archive_path.read_bytes()}, signature=XY)
    refused(convert(source, "tflite-fp32/cpu", tmp_path), ErrorCode.MODEL_INVALID, "Keras cannot load it")
    assert not payload.exists()


@pytest.mark.slow
def test_control_flow_that_depends_on_data_is_refused(tmp_path: Path) -> None:
    """A branch on a value cannot be exported; the reason is torch's own."""
    code = """
import torch

class Branch(torch.nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x - 1

def build():
    return Branch()
"""
    description = {"framework": "torch", "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}]}
    files = {
        "factory.json": json.dumps(description).encode(),
        "factory.py": code.encode(),
        "weights.safetensors": save({}),
    }
    source = Source(format="factory", files=files, signature=XY)
    refused(convert(source, "onnx-fp32/cpu", tmp_path), ErrorCode.MODEL_INVALID, "torch.export: ")


def test_a_datatype_nobody_carries_is_refused(tmp_path: Path) -> None:
    """A datatype that the protocol does not have is named."""
    description = {"framework": "sklearn", "inputs": [{"name": "x", "datatype": "COMPLEX64", "shape": [-1, 4]}]}
    source = factory("def build(): ...")
    source = Source(
        format="factory", files={**source.files, "factory.json": json.dumps(description).encode()}, signature=XY
    )
    outcome = convert(source, "onnx-fp32/cpu", tmp_path)
    refused(outcome, ErrorCode.MODEL_INVALID, "Unknown datatype 'COMPLEX64'")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_killed_child_leaves_no_process(tmp_path: Path, number: signal.Signals) -> None:
    """Whoever cancels kills the child; the step it runs ends with it, however it was killed."""
    code = "import pathlib, time\ndef build():\n    time.sleep(600)\n"
    spec = prepare(factory(code), "onnx-fp32/cpu", tmp_path)
    child = start(spec)
    end = time.monotonic() + 30
    while not any(" step " in line for line in left_of(tmp_path)) and time.monotonic() < end:
        time.sleep(0.05)
    os.killpg(child.pid, number)
    child.communicate()
    while left_of(tmp_path) and time.monotonic() < end:
        time.sleep(0.05)
    assert left_of(tmp_path) == []
    assert child.returncode == (128 + signal.SIGTERM if number is signal.SIGTERM else -signal.SIGKILL)


@pytest.mark.parametrize(
    ("target", "code", "reason"),
    [
        ("keras-fp32/cpu", ErrorCode.INVALID_FIELD, "no runner loads it"),
        ("onnx-int3/cpu", ErrorCode.INVALID_FIELD, "Precision 'int3' is not known"),
        ("onnx", ErrorCode.INVALID_FIELD, "expected '<format>-<precision>/<device>'"),
        ("torchscript-fp32/cpu", ErrorCode.MODEL_INVALID, "No route leads from onnx to torchscript"),
        ("onnx-fp32/cpu", ErrorCode.INVALID_FIELD, "The source is onnx already"),
    ],
)
def test_a_target_that_cannot_be_is_refused_up_front(tmp_path: Path, target: str, code: ErrorCode, reason: str) -> None:
    """A target that no route reaches is refused before any step runs."""
    outcome = convert(onnx_source(helper.make_node("Identity", ["x"], ["y"])), target, tmp_path)
    refused(outcome, code, reason)
    assert [stage["stage"] for stage in outcome.stages] == ["verify"]
