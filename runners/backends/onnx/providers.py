# SPDX-License-Identifier: Apache-2.0
"""Which execution providers a session is opened with, and which it really got.

``onnxruntime.get_available_providers`` names what a build contains, not what works: onnxruntime-gpu claims CUDA on a host
without one, and an open session has then silently fallen back. Only ``session.get_providers()`` is believed. The CPU
provider comes last in every list, as it takes the operators that the others do not have.

Options: https://onnxruntime.ai/docs/execution-providers/.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final

from core.telemetry.logs import get_logger

CPU: Final = "CPUExecutionProvider"

# An arena that doubles takes memory from the other models of the device; an exhaustive search for convolutions is worth its
# time with fixed shapes only, and batches differ.
_CUDA: Final[Mapping[str, str]] = MappingProxyType(
    {
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
        "do_copy_in_default_stream": "1",
    }
)
# Its caches are files that the next process would trust; none is kept.
_TENSORRT: Final[Mapping[str, str]] = MappingProxyType({"trt_fp16_enable": "0", "trt_engine_cache_enable": "0"})

_WANTED: Final[Mapping[str, tuple[tuple[str, Mapping[str, str]], ...]]] = MappingProxyType(
    {
        "cpu": (),
        "cuda": (("CUDAExecutionProvider", _CUDA),),
        "tensorrt": (("TensorrtExecutionProvider", _TENSORRT), ("CUDAExecutionProvider", _CUDA)),
        "openvino": (("OpenVINOExecutionProvider", MappingProxyType({})),),
    }
)
_DEVICES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "TensorrtExecutionProvider": "tensorrt",
        "CUDAExecutionProvider": "cuda",
        "OpenVINOExecutionProvider": "openvino",
        CPU: "cpu",
    }
)

log = get_logger(__name__)


def wanted(device: str, built: Iterable[str]) -> list[tuple[str, dict[str, str]]]:
    """The providers to ask for, with options, best first.

    Args:
        device: As in the name of a variant.
        built: Names of the providers this build of onnxruntime contains.
    """
    contained = set(built)
    found = [(name, dict(options)) for name, options in _WANTED[device] if name in contained]
    return [*found, (CPU, {})]


def obtained(session: Any, device: str) -> str:
    """The device an open session computes on; a fallback is logged.

    Args:
        session: An ``onnxruntime.InferenceSession``.
        device: What was wanted.
    """
    providers = list(session.get_providers())
    got = _DEVICES.get(providers[0], "cpu") if providers else "cpu"
    if got != device:
        log.warning("device_fallback", format="onnx", wanted=device, used=f"onnx-{got}", providers=providers)
    return got
