# SPDX-License-Identifier: Apache-2.0
"""The providers asked for and those believed."""

from __future__ import annotations

import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

from runners.backends.onnx.providers import Providers, obtained, opened, wanted

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"


def identity() -> bytes:
    """A model file."""
    x, y = (helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch"]) for name in "xy")
    graph = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "identity", [x], [y])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


class Host:
    """Opens sessions of the real runtime, on a host where some providers refuse as they do where their libraries lack."""

    def __init__(self, **refusing: str) -> None:
        self._refusing = {f"{name}ExecutionProvider": reason for name, reason in refusing.items()}
        self.asked: list[list[str]] = []

    def open(self, providers: Providers) -> ort.InferenceSession:
        self.asked.append([name for name, _ in providers])
        if providers[0][0] in self._refusing:
            raise RuntimeError(self._refusing[providers[0][0]])
        kept = [provider for provider in providers if provider[0] in ort.get_available_providers()]
        return ort.InferenceSession(identity(), providers=kept)


class Session:
    """A session that was given some providers."""

    def __init__(self, *providers: str) -> None:
        self._providers = providers

    def get_providers(self) -> list[str]:
        return list(self._providers)


@pytest.mark.parametrize(
    ("device", "built", "expected"),
    [
        ("cpu", [CUDA, CPU], [CPU]),
        ("cuda", [TENSORRT, CUDA, CPU], [CUDA, CPU]),
        ("cuda", [CPU], [CPU]),
        ("tensorrt", [TENSORRT, CUDA, CPU], [TENSORRT, CUDA, CPU]),
        ("tensorrt", [CUDA, CPU], [CUDA, CPU]),
        ("openvino", [OPENVINO, CPU], [OPENVINO, CPU]),
    ],
)
def test_only_what_the_build_contains_is_asked_for(device: str, built: list[str], expected: list[str]) -> None:
    """Best first, the CPU last."""
    assert [name for name, _ in wanted(device, built)] == expected


@pytest.mark.parametrize(
    ("device", "got", "expected"),
    [
        ("cuda", [CUDA, CPU], "cuda"),
        ("cuda", [CPU], "cpu"),
        ("tensorrt", [CUDA, CPU], "cuda"),
        ("tensorrt", [TENSORRT, CUDA, CPU], "tensorrt"),
        ("openvino", [CPU], "cpu"),
    ],
)
def test_the_session_is_believed(
    device: str, got: list[str], expected: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What it computes on names the runner; a fallback is logged."""
    assert obtained(Session(*got), device) == expected
    assert ("device_fallback" in capsys.readouterr().out) is (expected != device)


def test_what_refuses_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """TensorRT, then CUDA, then the CPU, each refusal logged with its reason; the session says what it is on."""
    host = Host(Tensorrt="Please install TensorRT libraries", CUDA="no kernel image is available")
    session = opened(host.open, wanted("tensorrt", [TENSORRT, CUDA, CPU]))
    assert host.asked == [[TENSORRT, CUDA, CPU], [CUDA, CPU], [CPU]]
    assert obtained(session, "tensorrt") == "cpu"
    said = capsys.readouterr().out
    assert said.count("provider_refused") == 2
    assert "Please install TensorRT libraries" in said
    assert "device_fallback" in said


def test_what_does_not_refuse_is_asked_once() -> None:
    """A session that opens is kept."""
    host = Host()
    assert opened(host.open, wanted("cpu", [CUDA, CPU])).get_providers() == [CPU]
    assert host.asked == [[CPU]]


def test_a_device_without_memory_is_not_left_for_the_cpu() -> None:
    """The error is passed on, to be retried."""
    host = Host(CUDA="CUDA failure 2: out of memory ; GPU=0")
    with pytest.raises(RuntimeError, match="out of memory"):
        opened(host.open, wanted("cuda", [CUDA, CPU]))
    assert host.asked == [[CUDA, CPU]]


def test_the_last_refusal_is_passed_on() -> None:
    """A model that no provider takes is refused in the words of the CPU's."""
    host = Host(CUDA="not this one", CPU="no model")
    with pytest.raises(RuntimeError, match="no model"):
        opened(host.open, wanted("cuda", [CUDA, CPU]))


@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_the_first_visible_device_is_named(device: str) -> None:
    """Whichever it is, `CUDA_VISIBLE_DEVICES` decides; options are words that every version takes."""
    for name, options in wanted(device, [TENSORRT, CUDA, CPU])[:-1]:
        assert options["device_id"] == "0", name
        assert all(isinstance(value, str) for value in options.values())
