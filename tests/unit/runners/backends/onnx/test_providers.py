# SPDX-License-Identifier: Apache-2.0
"""The providers asked for and those believed."""

from __future__ import annotations

import pytest

from runners.backends.onnx.providers import obtained, wanted

CPU, CUDA, TENSORRT = "CPUExecutionProvider", "CUDAExecutionProvider", "TensorrtExecutionProvider"
OPENVINO = "OpenVINOExecutionProvider"


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
