# SPDX-License-Identifier: Apache-2.0
"""Which execution providers a session is opened with, and which it really got.

``onnxruntime.get_available_providers`` names what a build contains, not what works: onnxruntime-gpu claims CUDA on a host
without one, and an open session has then silently fallen back; asked for TensorRT where its libraries are missing, it refuses
to open instead. So what refuses is left out and the next is tried, TensorRT, CUDA, CPU, and only ``session.get_providers()``
is believed. The CPU provider comes last in every list, as it takes the operators that the others do not have. The device is
the first that the process may see (``CUDA_VISIBLE_DEVICES``).

Options: https://onnxruntime.ai/docs/execution-providers/.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from core.telemetry.logs import get_logger
from runners.backends.failures import no_memory, of_device, words

Providers: TypeAlias = list[tuple[str, dict[str, str]]]
"""Execution providers with their options, best first."""

CPU: Final = "CPUExecutionProvider"

# An arena that doubles takes memory from the other models of the device; an exhaustive search for convolutions is worth its
# time with fixed shapes only, and batches differ.
_CUDA: Final[Mapping[str, str]] = MappingProxyType(
    {
        "device_id": "0",
        "arena_extend_strategy": "kSameAsRequested",
        "cudnn_conv_algo_search": "HEURISTIC",
        "do_copy_in_default_stream": "1",
        "use_tf32": "0",  # a model in fp32 answers as on the CPU; who wants speed for digits takes a variant in fp16
    }
)
# Its caches are files that the next process would trust; none is kept. It takes "True" and "False" only.
_TENSORRT: Final[Mapping[str, str]] = MappingProxyType(
    {"device_id": "0", "trt_fp16_enable": "False", "trt_engine_cache_enable": "False"}
)

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


def wanted(device: str, built: Iterable[str]) -> Providers:
    """The providers to ask for, with options, best first.

    Args:
        device: As in the name of a variant.
        built: Names of the providers this build of onnxruntime contains.
    """
    contained = set(built)
    found = [(name, dict(options)) for name, options in _WANTED[device] if name in contained]
    return [*found, (CPU, {})]


def opened(open_session: Callable[[Providers], Any], providers: Providers) -> Any:
    """A session on the first of the providers that does not refuse to be used.

    Args:
        open_session: Opens one on the providers it is given.
        providers: What :func:`wanted` returned.

    Raises:
        Exception: What the runtime says of the last of them, or of one whose device has no memory: such a model is not
            moved to the CPU, where it would be answered too slowly for whoever sized the device.
    """
    for first, (name, _) in enumerate(providers[:-1]):
        try:
            return open_session(providers[first:])
        except Exception as error:
            if of_device(error) and no_memory(error):
                raise
            log.warning("provider_refused", format="onnx", provider=name, reason=words(error))
    return open_session(providers[-1:])


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
