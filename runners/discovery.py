# SPDX-License-Identifier: Apache-2.0
"""``python -m runners devices``: processor, accelerators and runners of this machine, each with a reason where it is absent.

Nothing heavy is imported and no device is initialised beyond what its driver does to count itself.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from runners.devices import usable_cores
from runners.hardware.cuda import NvmlError, cuda_here, no_device, visible
from runners.hardware.delegates import DELEGATES, library_of
from runners.hardware.edgetpu import SYS, edge_tpu_absent, edge_tpus
from runners.plugins import Offer
from runners.tuning.device import cpu_here


def discover(offers: Iterable[Offer], *, sys: Path = SYS) -> dict[str, Any]:
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
        "edgetpu": {"devices": edge_tpus(sys), "reason": edge_tpu_absent(sys)},
        "npu": _npus(sys / "class" / "accel"),
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
        cuda = cuda_here()
    except NvmlError as error:
        return {"driver": None, "devices": [], "reason": str(error)}
    usable = visible(cuda.devices)
    devices = [{**asdict(item), "visible": item in usable} for item in cuda.devices]
    return {"driver": cuda.driver, "devices": devices, "reason": no_device(cuda.devices, os.environ)}


def _npus(folder: Path) -> dict[str, Any]:
    found = sorted(path.name for path in folder.glob("*"))
    return {"devices": found, "reason": None if found else f"the kernel lists no accelerator ({folder})"}


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
    memory = "the host's memory"
    if device["memory_bytes"] is not None:
        memory = f"{device['free_bytes'] / 2**30:.1f} of {device['memory_bytes'] / 2**30:.1f} GiB free"
    return f"{device['index']}: {device['name']}, {memory}{'' if device['visible'] else ', hidden from this process'}"
