# SPDX-License-Identifier: Apache-2.0
"""NVIDIA devices, asked of the driver's own library (NVML) without starting a process or importing a runtime.

NVML lists every device of the machine; a process may use those that ``CUDA_VISIBLE_DEVICES`` leaves it, and runners use the
first of them. Numbers in that variable are in CUDA's order, which is NVML's where the devices are of one kind or
``CUDA_DEVICE_ORDER=PCI_BUS_ID``. References: NVML API, https://docs.nvidia.com/deploy/nvml-api/; environment variables,
https://docs.nvidia.com/cuda/cuda-programming-guide/05-appendices/environment-variables.html. The library comes with the
driver: where it is missing there is no device that could be used.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Final

VISIBLE: Final = "CUDA_VISIBLE_DEVICES"
_LIBRARY: Final = "libnvidia-ml.so.1"
_CHARS: Final = 96  # NVML_DEVICE_NAME_V2_BUFFER_SIZE, NVML_DEVICE_UUID_V2_BUFFER_SIZE
_NOT_SUPPORTED: Final = 3  # NVML_ERROR_NOT_SUPPORTED

Load = Callable[[str], ctypes.CDLL]


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaDevice:
    """One device. Its memory is None where it is the host's own."""

    index: int  # in NVML's order
    name: str
    uuid: str
    memory_bytes: int | None
    free_bytes: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Cuda:
    """What the driver says."""

    driver: str  # its version
    devices: tuple[CudaDevice, ...]


class NvmlError(Exception):
    """The driver's library is missing or answers with an error."""


def cuda_here(load: Load = ctypes.CDLL) -> Cuda:
    """The driver and its devices, in its order.

    Args:
        load: Opens a shared library.

    Raises:
        NvmlError: With the reason why there is none.
    """
    try:
        nvml = load(_LIBRARY)
    except OSError:
        raise NvmlError(f"the NVIDIA driver is not installed ({_LIBRARY} is missing)") from None
    try:
        return _ask(nvml)
    except AttributeError as error:
        raise NvmlError(f"{_LIBRARY} is not the NVIDIA driver's, or too old: {error}") from None


def cuda_devices(load: Load = ctypes.CDLL) -> list[CudaDevice]:
    """The devices the driver reports, in its order.

    Raises:
        NvmlError: With the reason why there is none.
    """
    return list(cuda_here(load).devices)


def visible(devices: Sequence[CudaDevice], environment: Mapping[str, str] = os.environ) -> list[CudaDevice]:
    """The devices that this process may use, in the order it numbers them; all of them if it cannot be told."""
    named = environment.get(VISIBLE)
    if named is None or "MIG-" in named:  # a slice of a device, which NVML lists under it
        return list(devices)
    found: list[CudaDevice] = []
    for word in named.split(","):
        device = _named(devices, word.strip())
        if device is None:  # nor is what stands behind it
            break
        found.append(device)
    return found


@cache
def cuda_absent() -> str | None:
    """None if there is a CUDA device that this process may use, else why not. Asked once per process."""
    try:
        devices = cuda_devices()
    except NvmlError as error:
        return str(error)
    return no_device(devices, os.environ)


def no_device(devices: Sequence[CudaDevice], environment: Mapping[str, str]) -> str | None:
    """None if one of the devices may be used, else why not."""
    if not devices:
        return "the NVIDIA driver reports no device"
    if not visible(devices, environment):
        return f"{VISIBLE}={environment[VISIBLE]!r} hides all {len(devices)} devices"
    return None


def _named(devices: Sequence[CudaDevice], word: str) -> CudaDevice | None:
    if word.isdecimal():
        return devices[int(word)] if int(word) < len(devices) else None
    matching = [device for device in devices if word and device.uuid.startswith(word)]
    return matching[0] if len(matching) == 1 else None


def _ask(nvml: ctypes.CDLL) -> Cuda:
    _check(nvml.nvmlInit_v2(), "nvmlInit_v2")
    try:
        count = ctypes.c_uint()
        _check(nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)), "nvmlDeviceGetCount_v2")
        return Cuda(
            driver=_text(nvml, "nvmlSystemGetDriverVersion"),
            devices=tuple(_device(nvml, index) for index in range(count.value)),
        )
    finally:
        with suppress(AttributeError):
            nvml.nvmlShutdown()


def _device(nvml: ctypes.CDLL, index: int) -> CudaDevice:
    handle, memory = ctypes.c_void_p(), _Memory()
    _check(nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)), "nvmlDeviceGetHandleByIndex_v2")
    status = nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory))
    if status != _NOT_SUPPORTED:
        _check(status, "nvmlDeviceGetMemoryInfo")
    return CudaDevice(
        index=index,
        name=_text(nvml, "nvmlDeviceGetName", handle),
        uuid=_text(nvml, "nvmlDeviceGetUUID", handle),
        memory_bytes=None if status else memory.total,
        free_bytes=None if status else memory.free,
    )


def _text(nvml: ctypes.CDLL, call: str, *arguments: ctypes.c_void_p) -> str:
    buffer = ctypes.create_string_buffer(_CHARS)
    _check(getattr(nvml, call)(*arguments, buffer, ctypes.c_uint(_CHARS)), call)
    return buffer.value.decode(errors="replace")


def _check(status: int, call: str) -> None:
    if status != 0:
        raise NvmlError(f"the NVIDIA driver answers {call} with error {status}")
