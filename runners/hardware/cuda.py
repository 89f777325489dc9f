# SPDX-License-Identifier: Apache-2.0
"""NVIDIA devices, asked of the driver's own library (NVML) without starting a process or importing a runtime.

Reference: NVML API, https://docs.nvidia.com/deploy/nvml-api/. The library comes with the driver: where it is missing there is
no device that could be used.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from typing import Final

_LIBRARY: Final = "libnvidia-ml.so.1"
_NAME_BYTES: Final = 96  # NVML_DEVICE_NAME_V2_BUFFER_SIZE

Load = Callable[[str], ctypes.CDLL]


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


@dataclass(frozen=True, slots=True, kw_only=True)
class CudaDevice:
    """One device."""

    index: int
    name: str
    memory_bytes: int
    free_bytes: int


class NvmlError(Exception):
    """The driver's library is missing or answers with an error."""


def cuda_devices(load: Load = ctypes.CDLL) -> list[CudaDevice]:
    """The devices the driver reports, in its order.

    Args:
        load: Opens a shared library.

    Raises:
        NvmlError: With the reason why there is none.
    """
    try:
        nvml = load(_LIBRARY)
    except OSError:
        raise NvmlError(f"the NVIDIA driver is not installed ({_LIBRARY} is missing)") from None
    _check(nvml.nvmlInit_v2(), "nvmlInit_v2")
    try:
        count = ctypes.c_uint()
        _check(nvml.nvmlDeviceGetCount_v2(ctypes.byref(count)), "nvmlDeviceGetCount_v2")
        return [_device(nvml, index) for index in range(count.value)]
    finally:
        with suppress(AttributeError):
            nvml.nvmlShutdown()


@cache
def cuda_absent() -> str | None:
    """None if there is a CUDA device, else why not. Asked once per process."""
    try:
        return None if cuda_devices() else "the NVIDIA driver reports no device"
    except NvmlError as error:
        return str(error)


def _device(nvml: ctypes.CDLL, index: int) -> CudaDevice:
    handle, name, memory = ctypes.c_void_p(), ctypes.create_string_buffer(_NAME_BYTES), _Memory()
    _check(nvml.nvmlDeviceGetHandleByIndex_v2(index, ctypes.byref(handle)), "nvmlDeviceGetHandleByIndex_v2")
    _check(nvml.nvmlDeviceGetName(handle, name, _NAME_BYTES), "nvmlDeviceGetName")
    _check(nvml.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory)), "nvmlDeviceGetMemoryInfo")
    return CudaDevice(
        index=index,
        name=name.value.decode(errors="replace"),
        memory_bytes=memory.total,
        free_bytes=memory.free,
    )


def _check(status: int, call: str) -> None:
    if status != 0:
        raise NvmlError(f"the NVIDIA driver answers {call} with error {status}")
