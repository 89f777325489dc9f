# SPDX-License-Identifier: Apache-2.0
"""``python -m runners devices``: processor, accelerators and runners of this machine, each with a reason where it is absent.

Nothing heavy is imported and no device is initialised beyond what its driver does to count itself.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from runners.devices import usable_cores
from runners.hardware.cuda import NvmlError, cuda_devices
from runners.hardware.delegates import DELEGATES, library_of
from runners.plugins import Offer
from runners.tuning.device import cpu_here

_SYS: Final = Path("/sys")
_USB_EDGE_TPU: Final = frozenset({("1a6e", "089a"), ("18d1", "9302")})  # before and after its firmware is loaded


def discover(offers: Iterable[Offer], *, sys: Path = _SYS) -> dict[str, Any]:
    """Everything as JSON values.

    Args:
        offers: The runners of this installation.
        sys: Where sysfs is mounted.
    """
    cpu, features = cpu_here()
    return {
        "cpu": {
            "name": cpu,
            "architecture": platform.machine(),
            "cores": usable_cores(),
            "features": list(features),
            "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        },
        "cuda": _cuda(),
        "edgetpu": _listed(_edge_tpus(sys), "no Coral device on PCIe (/sys/class/apex) or USB"),
        "npu": _listed(_names(sys / "class" / "accel"), "the kernel lists no accelerator (/sys/class/accel)"),
        "delegates": [
            {"device": item.device, "described": item.described, "library": found.path, "reason": found.reason}
            for item in DELEGATES
            for found in (library_of(item),)
        ],
        "runners": [
            {
                "name": offer.name,
                "formats": sorted(offer.formats),
                "device": offer.device,
                "origin": offer.origin,
                "reason": offer.reason,
            }
            for offer in offers
        ],
    }


def _cuda() -> dict[str, Any]:
    try:
        found = [
            {"index": item.index, "name": item.name, "memory_bytes": item.memory_bytes, "free_bytes": item.free_bytes}
            for item in cuda_devices()
        ]
    except NvmlError as error:
        return {"devices": [], "reason": str(error)}
    return _listed(found, "the NVIDIA driver reports no device")


def _listed(found: list[Any], absent: str) -> dict[str, Any]:
    return {"devices": found, "reason": None if found else absent}


def _edge_tpus(sys: Path) -> list[str]:
    usb = [
        path.name
        for path in sorted((sys / "bus" / "usb" / "devices").glob("*"))
        if (_text(path / "idVendor"), _text(path / "idProduct")) in _USB_EDGE_TPU
    ]
    return [*_names(sys / "class" / "apex"), *usb]


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.glob("*"))


def _text(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""


def as_text(found: dict[str, Any]) -> str:
    """The same for people: one line per fact."""
    cpu = found["cpu"]
    lines = [
        f"cpu       {cpu['name']}, {cpu['cores']} cores, {cpu['memory_bytes'] / 2**30:.1f} GiB",
        f"          {' '.join(cpu['features']) or 'no known features'}",
    ]
    for kind in ("cuda", "edgetpu", "npu"):
        devices = found[kind]["devices"]
        lines.append(f"{kind:<9} {', '.join(map(_shown, devices)) if devices else 'none: ' + found[kind]['reason']}")
    lines += [f"delegate  {item['device']:<10} {item['reason'] or 'available'}" for item in found["delegates"]]
    lines += [
        f"runner    {item['name']:<18} {', '.join(item['formats']):<26} {item['reason'] or 'available'}"
        for item in found["runners"]
    ]
    return "\n".join(lines)


def _shown(device: Any) -> str:
    if isinstance(device, str):
        return device
    return f"{device['index']}: {device['name']}, {device['memory_bytes'] / 2**30:.1f} GiB"
