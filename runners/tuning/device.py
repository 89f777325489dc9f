# SPDX-License-Identifier: Apache-2.0
"""What this device is, so that a tuning is used only where it was measured."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from artifacts.digest import Digest
from artifacts.tuning import Device, fingerprint_of
from runners.devices import usable_cores
from runners.interface import Backend

_CPU_CHARS: Final = 200
_CPUINFO: Final = Path("/proc/cpuinfo")  # elsewhere than on Linux the CPU is named after its architecture
_FEATURES: Final = frozenset(
    (
        *("avx", "avx2", "avx512f", "avx512_bf16", "avx512_vnni", "avx_vnni", "amx_bf16", "amx_int8", "amx_tile"),
        *("f16c", "fma", "sse4_2", "asimd", "asimddp", "bf16", "i8mm", "sve", "sve2"),
    )
)
_MODEL: Final = ("vendor_id", "cpu family", "model", "stepping")


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """What of a device is known without its runtime, and decides whether a tuning is of use."""

    cpu: str
    cores: int

    @property
    def fingerprint(self) -> Digest:
        """As of a :class:`artifacts.tuning.Device`."""
        return fingerprint_of(self.cpu, self.cores)


def this_machine() -> Machine:
    """The machine this process runs on."""
    return Machine(cpu=_cpu(_first_processor()), cores=usable_cores())


def this_device(backend: Backend) -> Device:
    """The device this process runs on; ``backend`` runs models on it."""
    cpu, features = cpu_here()
    return Device(cpu=cpu, cores=usable_cores(), runner=backend.name, version=backend.version, features=features)


def cpu_here() -> tuple[str, tuple[str, ...]]:
    """The processor's name and those of its features that matter to inference, sorted."""
    facts = _first_processor()
    return _cpu(facts), _features(facts)


def fingerprint_here() -> Digest:
    """The fingerprint of the device this process runs on."""
    return this_machine().fingerprint


def _features(facts: dict[str, str]) -> tuple[str, ...]:
    flags = facts.get("flags", facts.get("Features", "")).split()
    return tuple(sorted(_FEATURES.intersection(flags)))


def _cpu(facts: dict[str, str]) -> str:
    """The model's name with its numbers: hypervisors give many models one name."""
    name = facts.get("model name", platform.machine() or "unknown")
    numbers = "/".join(facts[key] for key in _MODEL if key in facts)
    return (f"{name} ({numbers})" if numbers else name)[:_CPU_CHARS]


def _first_processor() -> dict[str, str]:
    try:
        text = _CPUINFO.read_text(errors="replace")
    except OSError:
        return {}
    lines = (line.partition(":") for line in text.split("\n\n", 1)[0].splitlines())
    return {key.strip(): value.strip() for key, _, value in lines}
