# SPDX-License-Identifier: Apache-2.0
"""NVML: devices as the driver reports them, and a reason where it does not."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from runners.hardware.cuda import CudaDevice, NvmlError, cuda_devices


class Driver:
    """Answers as libnvidia-ml does for two devices."""

    def __init__(self, *, failing: str | None = None) -> None:
        self._failing = failing
        self.closed = 0

    def __getattr__(self, call: str) -> Any:
        return lambda *arguments: self._answer(call, arguments)

    def _answer(self, call: str, arguments: tuple[Any, ...]) -> int:
        if call == self._failing:
            return 999
        if call == "nvmlDeviceGetCount_v2":
            arguments[0]._obj.value = 2
        elif call == "nvmlDeviceGetHandleByIndex_v2":
            arguments[1]._obj.value = arguments[0] + 1
        elif call == "nvmlDeviceGetName":
            arguments[1].value = b"Card %d" % arguments[0].value
        elif call == "nvmlDeviceGetMemoryInfo":
            arguments[1]._obj.total, arguments[1]._obj.free = 80 * 2**30, 79 * 2**30
        elif call == "nvmlShutdown":
            self.closed += 1
        return 0


def test_devices_are_listed_with_their_memory() -> None:
    """In the driver's order; the library is closed again."""
    driver = Driver()
    found = cuda_devices(lambda _: driver)  # type: ignore[arg-type,return-value]
    assert found == [
        CudaDevice(index=index, name=f"Card {index + 1}", memory_bytes=80 * 2**30, free_bytes=79 * 2**30)
        for index in range(2)
    ]
    assert driver.closed == 1


def test_no_driver_is_a_reason() -> None:
    """Named by its library."""

    def missing(_: str) -> ctypes.CDLL:
        raise OSError("no such file")

    with pytest.raises(NvmlError, match="libnvidia-ml"):
        cuda_devices(missing)


@pytest.mark.parametrize("call", ["nvmlInit_v2", "nvmlDeviceGetCount_v2", "nvmlDeviceGetMemoryInfo"])
def test_an_error_of_the_driver_is_a_reason(call: str) -> None:
    """With the call and the number."""
    with pytest.raises(NvmlError, match=f"{call} with error 999"):
        cuda_devices(lambda _: Driver(failing=call))  # type: ignore[arg-type,return-value]
