# SPDX-License-Identifier: Apache-2.0
"""NVML: devices as the driver reports them, and a reason where it does not."""

from __future__ import annotations

import ctypes
from typing import Any

import pytest

from runners.hardware.cuda import CudaDevice, NvmlError, cuda_devices, cuda_here, no_device, visible


class Driver:
    """Answers as libnvidia-ml does for two devices."""

    def __init__(self, *, failing: str | None = None, status: int = 999) -> None:
        self._failing = failing
        self._status = status
        self.closed = 0

    def __getattr__(self, call: str) -> Any:
        return lambda *arguments: self._answer(call, arguments)

    def _answer(self, call: str, arguments: tuple[Any, ...]) -> int:
        if call == self._failing:
            return self._status
        if call == "nvmlDeviceGetCount_v2":
            arguments[0]._obj.value = 2
        elif call == "nvmlDeviceGetHandleByIndex_v2":
            arguments[1]._obj.value = arguments[0] + 1
        elif call == "nvmlDeviceGetName":
            arguments[1].value = b"Card %d" % arguments[0].value
        elif call == "nvmlDeviceGetUUID":
            arguments[1].value = b"GPU-%d0aa" % arguments[0].value
        elif call == "nvmlSystemGetDriverVersion":
            arguments[0].value = b"580.65.06"
        elif call == "nvmlDeviceGetMemoryInfo":
            arguments[1]._obj.total, arguments[1]._obj.free = 80 * 2**30, 79 * 2**30
        elif call == "nvmlShutdown":
            self.closed += 1
        return 0


def card(index: int, memory: int | None = 80 * 2**30, free: int | None = 79 * 2**30) -> CudaDevice:
    number = index + 1
    return CudaDevice(index=index, name=f"Card {number}", uuid=f"GPU-{number}0aa", memory_bytes=memory, free_bytes=free)


def test_devices_are_listed_with_their_memory() -> None:
    """In the driver's order, with its version; the library is closed again."""
    driver = Driver()
    found = cuda_here(lambda _: driver)  # type: ignore[arg-type,return-value]
    assert (found.driver, list(found.devices)) == ("580.65.06", [card(0), card(1)])
    assert driver.closed == 1


def test_a_device_that_uses_the_hosts_memory_is_one() -> None:
    """NVML does not support the question for it; there is no figure."""
    driver = Driver(failing="nvmlDeviceGetMemoryInfo", status=3)
    found = cuda_devices(lambda _: driver)  # type: ignore[arg-type,return-value]
    assert found[0] == card(0, None, None)


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        (None, [0, 1]),
        ("0,1", [0, 1]),
        ("1, 0", [1, 0]),
        ("1", [1]),
        ("GPU-2", [1]),
        ("GPU-20aa,0", [1, 0]),
        ("MIG-5c89/1/0", [0, 1]),
        ("0,7,1", [0]),
        ("GPU-", []),
        ("-1", []),
        ("", []),
    ],
)
def test_a_process_sees_what_the_variable_leaves_it(named: str | None, expected: list[int]) -> None:
    """By number or the beginning of an identifier, in its own order; nothing from the first that is not there on."""
    environment = {} if named is None else {"CUDA_VISIBLE_DEVICES": named}
    assert [device.index for device in visible([card(0), card(1)], environment)] == expected


def test_what_hides_every_device_is_a_reason() -> None:
    """As is that there is none; one that is left is enough."""
    hidden = no_device([card(0), card(1)], {"CUDA_VISIBLE_DEVICES": ""})
    assert hidden == "CUDA_VISIBLE_DEVICES='' hides all 2 devices"
    assert "no device" in str(no_device([], {}))
    assert no_device([card(0), card(1)], {"CUDA_VISIBLE_DEVICES": "1"}) is None


def test_another_library_of_that_name_is_a_reason() -> None:
    """It lacks the driver's functions: no crash, no device."""
    with pytest.raises(NvmlError, match="nvmlInit_v2"):
        cuda_devices(lambda _: ctypes.CDLL(None))


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
