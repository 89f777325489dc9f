# SPDX-License-Identifier: Apache-2.0
"""TorchScript files and torch.export programs: the contract, zero copies, and everything a file may not contain."""

from __future__ import annotations

import inspect
import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from artifacts.testing import refused
from core.errors import ErrorCode, ModelError
from core.tensors import ANY, Array, DType, Signature, TensorSpec
from runners.backends.torch.archive import read_archive, write_archive
from runners.backends.torch.backend import TorchBackend, TorchRunner, chosen
from runners.backends.torch.execution import CpuExecution
from runners.backends.torch.program import load_program
from runners.backends.torch.script import load_script
from runners.interface import Runner, RunnerOptions
from runners.testing import RunnerContract

OPTIONS = RunnerOptions(instances=2)
DECLARED: dict[str, list[dict[str, Any]]] = {
    "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1, 4]}],
    "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1, 3]}],
}


class Linear(torch.nn.Module):  # type: ignore[misc] # torch is not followed
    """``y = x @ w``."""

    def __init__(self, weights: Array) -> None:
        super().__init__()
        self.w = torch.nn.Parameter(torch.from_numpy(weights))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.w


class Named(Linear):
    """The same, naming its output."""

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"y": x @ self.w}


class InPlace(Linear):
    """The same on doubled inputs, doubling them where they lie."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x.mul_(2)
        return x @ self.w


WEIGHTS = np.arange(12, dtype=np.float32).reshape(4, 3)


def script(module: Any, declared: dict[str, Any] | None = DECLARED) -> bytes:
    buffer = io.BytesIO()
    extra = {} if declared is None else {"signature.json": json.dumps(declared)}
    torch.jit.save(torch.jit.script(module.eval()), buffer, _extra_files=extra)
    return buffer.getvalue()


def program(module: Any) -> bytes:
    buffer = io.BytesIO()
    batch = torch.export.Dim("batch", min=1, max=4096)
    exported = torch.export.export(module.eval(), (torch.ones(2, 4),), dynamic_shapes={"x": {0: batch}})
    torch.export.save(exported, buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def exported() -> bytes:
    return program(Named(WEIGHTS))


class TestTorchScript(RunnerContract):
    def make_runner(self, weights: Array) -> Runner:
        return TorchBackend().load({"model.pt": script(Linear(weights))}, options=OPTIONS)


class TestTorchExport(RunnerContract):
    def make_runner(self, weights: Array) -> Runner:
        return TorchBackend().load({"model.pt2": program(Named(weights))}, options=OPTIONS)


def test_inputs_and_outputs_are_not_copied() -> None:
    """A module that gives its input back gives the very memory it was handed."""
    spec = TensorSpec(name="x", dtype=DType.FP32, shape=(ANY, 4))
    execute = CpuExecution(torch.nn.Identity(), Signature(inputs=(spec,), outputs=(spec,)))
    x = np.frombuffer(np.ones(8, np.float32).tobytes(), np.float32).reshape(2, 4)
    assert np.shares_memory(execute([x])[0], x)


def test_a_model_that_writes_to_its_input_gets_a_copy() -> None:
    """The caller's read-only tensor is as it was, and the result is the model's."""
    runner = TorchBackend().load({"model.pt": script(InPlace(WEIGHTS))}, options=OPTIONS)
    x = np.frombuffer(np.ones(4, np.float32).tobytes(), np.float32).reshape(1, 4)
    np.testing.assert_allclose(runner.run({"x": x})["y"], 2 * x @ WEIGHTS)
    np.testing.assert_array_equal(x, np.ones((1, 4)))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_half_precision_goes_in_and_out(dtype: torch.dtype) -> None:
    """Half precision models take and give it, and say so."""
    name = {torch.float16: "FP16", torch.bfloat16: "BF16"}[dtype]
    declared = {key: [{**tensors[0], "datatype": name}] for key, tensors in DECLARED.items()}
    runner = TorchBackend().load({"model.pt": script(Linear(WEIGHTS).to(dtype), declared)}, options=OPTIONS)
    assert runner.precision == {torch.float16: "fp16", torch.bfloat16: "bf16"}[dtype]
    x = np.ones((1, 4), runner.signature.inputs[0].dtype.numpy)
    np.testing.assert_array_equal(runner.run({"x": x})["y"].astype(np.float32), [[18, 22, 26]])


def test_a_signature_beside_the_file_is_read() -> None:
    """An archive without a signature takes the one in the bundle; without either it is refused with what to do."""
    data = script(Linear(WEIGHTS), None)
    files = {"model.pt": data, "signature.json": json.dumps(DECLARED).encode()}
    assert TorchBackend().load(files, options=OPTIONS).signature.inputs[0].shape == (ANY, 4)
    with refused(ErrorCode.MODEL_INVALID, "signature.json", "_extra_files"):
        TorchBackend().load({"model.pt": data}, options=OPTIONS)


@pytest.mark.parametrize(
    ("key", "tensor"),
    [
        ("inputs", {"name": "x", "datatype": "FP32", "shape": [-1, 5]}),
        ("outputs", {"name": "y", "datatype": "FP32", "shape": [-1, 2]}),
        ("outputs", {"name": "y", "datatype": "FP16", "shape": [-1, 3]}),
        ("outputs", {"name": "y", "datatype": "WORDS", "shape": [-1, 3]}),
        ("outputs", {"name": "y", "datatype": "FP32", "shape": [-7, 3]}),
    ],
)
def test_a_declaration_the_model_does_not_keep_is_refused(key: str, tensor: dict[str, Any]) -> None:
    """TorchScript only declares its tensors, so it is tried."""
    with refused(ErrorCode.MODEL_INVALID):
        TorchBackend().load({"model.pt": script(Linear(WEIGHTS), {**DECLARED, key: [tensor]})}, options=OPTIONS)


class Payload:
    """Makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


def with_files(data: bytes, **changes: Any) -> bytes:
    """The archive with some files changed or added."""
    files = read_archive(data)
    for path, change in changes.items():
        files[path] = change(files.get(path)) if callable(change) else change
    return write_archive(files).getvalue()


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("name", ["model.pt", "model.pt2", "model.ts"])
@pytest.mark.parametrize(
    "make",
    [
        pickle.dumps,
        lambda payload: pickle.dumps(payload, 0),
        saved,
        lambda payload: saved({"weights": payload}),
        lambda payload: with_files(script(Linear(WEIGHTS)), **{"data.pkl": pickle.dumps(payload, 2)}),
        lambda payload: with_files(script(Linear(WEIGHTS)), **{"constants.pkl": pickle.dumps(payload, 4)}),
        lambda payload: with_files(program(Named(WEIGHTS)), **{"data/sample_inputs/model.pt": saved(payload)}),
        lambda payload: with_files(program(Named(WEIGHTS)), **{"data/constants/opaque_0": pickle.dumps(payload)}),
        lambda payload: with_files(
            program(Named(WEIGHTS)),
            **{
                "data/weights/weight_0": saved(payload),
                "data/weights/model_weights_config.json": lambda old: old.replace(
                    b'_pickle": false', b'_pickle": true'
                ),
            },
        ),
    ],
    ids=["pickle", "pickle0", "saved", "saved dict", "data.pkl", "constants.pkl", "samples", "opaque", "use_pickle"],
)
def test_a_malicious_pickle_does_nothing(tmp_path: Path, name: str, make: Callable[[Payload], bytes]) -> None:
    """Wherever it lies, the file it would make does not appear, and the model is refused."""
    path = tmp_path / "payload"
    data = make(Payload(path))
    with pytest.raises(ModelError) as caught:
        TorchBackend().load({name: data}, options=OPTIONS)
    assert caught.value.code is ErrorCode.MODEL_INVALID
    assert not path.exists()


def in_graph(old: str, new: str) -> Callable[[bytes], bytes]:
    def change(graph: bytes) -> bytes:
        assert old.encode() in graph
        return graph.replace(old.encode(), new.encode())

    return change


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("torch.ops.aten.matmul.default", "torch.os.system"),
        ("torch.ops.aten.matmul.default", "torch.load"),
        ("torch.ops.aten.matmul.default", "torch.ops.aten.from_file.default"),
        ("torch.ops.aten.matmul.default", "torch.ops.load_library"),
        ("torch.ops.aten.matmul.default", "_operator.methodcaller"),
        ("torch.ops.aten.matmul.default", "#anything:else"),
        ("Symbol('", "__import__('os').system('touch payload') or Symbol('"),
        ("positive=True", "positive=().__class__.__bases__"),
    ],
)
def test_a_program_that_reaches_beyond_tensors_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exported: bytes, old: str, new: str
) -> None:
    """Names of other functions, and expressions that are more than arithmetic, are never resolved or evaluated."""
    monkeypatch.chdir(tmp_path)
    data = with_files(exported, **{"models/model.json": in_graph(old, new)})
    with refused(ErrorCode.MODEL_INVALID, "The program"):
        TorchBackend().load({"model.pt2": data}, options=OPTIONS)
    assert not list(tmp_path.iterdir())


def test_guards_of_a_program_are_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, exported: bytes) -> None:
    """Guards are Python source: they are dropped."""
    monkeypatch.chdir(tmp_path)

    def change(graph: bytes) -> bytes:
        return json.dumps(
            {**json.loads(graph), "guards_code": ["__import__('os').system('touch payload') == 0"]}
        ).encode()

    runner = TorchBackend().load({"model.pt2": with_files(exported, **{"models/model.json": change})}, options=OPTIONS)
    runner.run({"x": np.ones((1, 4), np.float32)})
    assert not list(tmp_path.iterdir())


class Reading(torch.nn.Module):  # type: ignore[misc]
    """Reads a file of the host."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.from_file("/etc/passwd", False, 4, dtype=torch.float32)


class Counting(torch.nn.Module):  # type: ignore[misc]
    """Remembers between requests."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.count += 1
        return x[:, :3] + self.count


@pytest.mark.parametrize(("module", "why"), [(Reading(), "from_file"), (Counting(), "attributes")])
def test_a_script_that_reaches_beyond_itself_is_refused(module: Any, why: str) -> None:
    """Neither files of the host nor other requests can be seen."""
    with refused(ErrorCode.MODEL_INVALID, why):
        TorchBackend().load({"model.pt": script(module)}, options=OPTIONS)


def test_a_bomb_is_not_unpacked() -> None:
    """An archive that unpacks to far more than it is, is refused by what it declares."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/constants.pkl", b"\0" * (64 << 20))
    with refused(ErrorCode.MODEL_INVALID, "unpacks to"):
        TorchBackend().load({"model.pt": buffer.getvalue()}, options=OPTIONS)


@pytest.mark.parametrize("cut", [0, 1, 100, 1000, -10, -200])
@pytest.mark.parametrize("name", ["model.pt", "model.pt2"])
def test_a_damaged_archive_is_refused(exported: bytes, name: str, cut: int) -> None:
    """Empty and truncated files are MODEL_003."""
    data = exported if name == "model.pt2" else script(Linear(WEIGHTS))
    with refused(ErrorCode.MODEL_INVALID):
        TorchBackend().load({name: data[:cut]}, options=OPTIONS)


OFFSET = torch.arange(3.0)


class Offset(Linear):
    """The same plus what tracing keeps with the code, not among the parameters."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.w + OFFSET


def test_cuda_is_used_only_where_torch_finds_it() -> None:
    """Asked for CUDA on a machine without, the runner is on the CPU and its name says so."""
    assert chosen("cuda", cuda=True) == "cuda"
    if torch.cuda.is_available():
        pytest.fail("this test states what happens on a machine without CUDA")
    backend = TorchBackend("cuda")
    runner = backend.load({"model.pt": script(Linear(WEIGHTS))}, options=OPTIONS)
    assert (backend.name, runner.name) == ("torch-cpu", "torch-cpu")


def test_everything_of_a_model_is_moved_to_its_device() -> None:
    """Weights and constants, shown with torch's device without memory, `meta`."""
    x = torch.ones(2, 4, device="meta")
    module, _, _ = load_program(read_archive(program(Offset(WEIGHTS))), "meta")
    assert module(x).device.type == "meta"
    traced = io.BytesIO()
    torch.jit.save(torch.jit.trace(Offset(WEIGHTS), torch.ones(2, 4)), traced, {"signature.json": json.dumps(DECLARED)})
    module, _, _ = load_script(read_archive(traced.getvalue()), None, "meta")
    assert module(x).device.type == "meta"


def test_torch_takes_what_the_cuda_code_gives_it() -> None:
    """The functions that need a device to be run exist and take these arguments."""
    inspect.signature(torch.cuda.graph).bind(object(), stream=None, capture_error_mode="thread_local")
    inspect.signature(torch.cuda.stream).bind(None)
    assert callable(torch.cuda.CUDAGraph.replay)
    assert {torch.OutOfMemoryError.__base__, torch.AcceleratorError.__base__} == {RuntimeError}


@pytest.mark.parametrize(
    "error", [torch.OutOfMemoryError("CUDA out of memory. Tried"), torch.AcceleratorError("CUDA error: out of memory")]
)
def test_a_run_without_device_memory_is_retryable(error: Exception) -> None:
    """DEVICE_001, and the runner stays usable."""

    class Full(torch.nn.Module):  # type: ignore[misc]
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if x.shape[0] > 1:
                raise error
            return x[:, :3]

    inputs, outputs = (
        tuple(TensorSpec(name=t["name"], dtype=DType.FP32, shape=tuple(t["shape"])) for t in tensors)
        for tensors in DECLARED.values()
    )
    runner = TorchRunner(Full(), Signature(inputs=inputs, outputs=outputs), device="cpu", writes=False)
    with refused(ErrorCode.DEVICE_UNAVAILABLE, "no memory"):
        runner.run({"x": np.ones((2, 4), np.float32)})
    assert runner.run({"x": np.ones((1, 4), np.float32)})["y"].shape == (1, 3)
