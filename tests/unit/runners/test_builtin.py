# SPDX-License-Identifier: Apache-2.0
"""Our own backends: every executable format has one, and what is missing has a reason."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest

from artifacts.formats import FORMATS
from artifacts.testing import refused
from core.errors import ErrorCode
from runners.builtin import BUILTIN, Builtin, cuda_build
from runners.loading import backend_of, backends, device_of

ROOT = Path(__file__).resolve().parents[3]


def test_every_executable_format_has_a_backend_on_the_cpu() -> None:
    """And no other format has."""
    served = {name for plugin in BUILTIN if plugin.device == "cpu" for name in plugin.formats}
    assert served == {form.name for form in FORMATS.values() if form.executable}


def test_names_are_unique() -> None:
    """A name says which backend it is."""
    assert len({plugin.name for plugin in BUILTIN}) == len(BUILTIN)


def test_listing_imports_no_runtime() -> None:
    """A process that only asks what there is stays small."""
    program = (
        "import sys; from runners.loading import backends; backends();"
        "print(sorted({'onnxruntime', 'tensorflow', 'torch', 'ai_edge_litert'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"modules": ("no_such_runtime", "nor_this")}, "no_such_runtime or nor_this is not installed; install it"),
        ({"distribution": "no-such-build"}, "no-such-build is not installed; install it"),
        ({"hardware": lambda: "no chip"}, "no chip"),
        ({}, None),
    ],
)
def test_what_is_missing_has_a_reason(change: dict[str, object], reason: str | None) -> None:
    """The runtime, its build and the hardware are looked at in this order."""
    plugin = Builtin(
        name="some-cpu",
        formats=frozenset({"some"}),
        device="cpu",
        modules=("json",),
        remedy="install it",
        made_by=("json", "JSONDecoder"),
    )
    assert replace(plugin, **change).is_available() == reason  # type: ignore[arg-type]


def test_every_device_that_is_not_here_has_a_reason() -> None:
    """A named delegate by its library once its runtime is there, the others by the runtime's build or the driver."""
    reasons = {offer.name: offer.reason for offer in backends() if offer.device != "cpu"}
    assert all(reasons.values()), "this test needs a host with nothing but a processor"
    lacking = "libedgetpu.so.1" if find_spec("ai_edge_litert") else "install ai-edge-litert"
    assert lacking in str(reasons["litert-edgetpu"])
    assert "onnxruntime-gpu" in str(reasons["onnx-tensorrt"])
    assert "onnxruntime-openvino" in str(reasons["onnx-openvino"])


@pytest.mark.parametrize(("version", "may"), [("2.13.0+cpu", False), ("2.13.0", True), ("2.13.0+cu130", True)])
def test_a_build_of_torch_for_the_cpu_says_so(version: str, may: bool) -> None:
    """By its version."""
    assert (cuda_build(version) is None) is may


def test_a_device_that_is_not_here_falls_back_to_the_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    """The runner's name says what it is on, the log why."""
    assert any(offer.device == "cuda" and offer.reason for offer in backends()), "this test needs a host without CUDA"
    assert backend_of("onnx", "cuda").name == "onnx-cpu"
    assert "device_fallback" in capsys.readouterr().out


def test_a_format_none_loads_names_those_that_are() -> None:
    """DEVICE_001."""
    with refused(ErrorCode.DEVICE_UNAVAILABLE, "'caffe'", "onnx"):
        backend_of("caffe")


@pytest.mark.parametrize(("variant", "device"), [("onnx-fp32/cpu", "cpu"), ("onnx-fp16/cuda", "cuda"), ("a/b/c", "c")])
def test_the_device_of_a_variant(variant: str, device: str) -> None:
    """It stands behind the last slash."""
    assert device_of(variant) == device
