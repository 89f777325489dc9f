# SPDX-License-Identifier: Apache-2.0
"""Edge TPUs as sysfs lists them."""

from __future__ import annotations

from pathlib import Path

from runners.hardware.edgetpu import edge_tpu_absent, edge_tpus


def test_none_is_a_reason(tmp_path: Path) -> None:
    """Where it was looked for is named."""
    assert edge_tpus(tmp_path) == []
    assert "/sys/class/apex" in str(edge_tpu_absent(tmp_path))


def test_one_on_usb_is_known_before_its_firmware_is_loaded(tmp_path: Path) -> None:
    """By the chip's first identifier; other devices of the vendor are none."""
    for name, vendor, product in (("1-1", "1a6e", "089a"), ("1-2", "18d1", "4ee7")):
        folder = tmp_path / "bus" / "usb" / "devices" / name
        folder.mkdir(parents=True)
        (folder / "idVendor").write_text(vendor + "\n")
        (folder / "idProduct").write_text(product + "\n")
    assert edge_tpus(tmp_path) == ["1-1"]
    assert edge_tpu_absent(tmp_path) is None
