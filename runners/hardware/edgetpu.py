# SPDX-License-Identifier: Apache-2.0
"""Coral Edge TPUs as the kernel lists them, on PCIe (driver ``apex``) and USB. Reference: https://coral.ai/docs/."""

from __future__ import annotations

from pathlib import Path
from typing import Final

SYS: Final = Path("/sys")
_USB: Final = frozenset(
    {("1a6e", "089a"), ("18d1", "9302")}
)  # vendor and product, before and after its firmware is loaded


def edge_tpus(sys: Path = SYS) -> list[str]:
    """Their names in sysfs.

    Args:
        sys: Where it is mounted.
    """
    usb = [
        path.name
        for path in sorted((sys / "bus" / "usb" / "devices").glob("*"))
        if (_text(path / "idVendor"), _text(path / "idProduct")) in _USB
    ]
    return [*sorted(path.name for path in (sys / "class" / "apex").glob("*")), *usb]


def edge_tpu_absent(sys: Path = SYS) -> str | None:
    """None if there is one, else why not."""
    return None if edge_tpus(sys) else "no Coral device on PCIe (/sys/class/apex) or USB"


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
