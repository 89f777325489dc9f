# SPDX-License-Identifier: Apache-2.0
"""What the kernel really limits a container to, read from its control groups of version 1 or 2.

podman itself does not know: ``podman update`` changes the control groups and nothing that ``podman inspect`` tells (4.3).
Formats: Documentation/admin-guide/cgroup-v1/memory.rst, scheduler/sched-bwc.rst and cgroup-v2.rst of the Linux kernel.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

CGROUPS: Final = Path("/sys/fs/cgroup")
PROC: Final = Path("/proc")
_CONTAINER: Final = "libpod-"  # how podman names the group of a container; others are above it, or below
_NO_LIMIT: Final = 1 << 62  # bytes; version 1 has a number for none


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """The limits of one container. None: there is none, or this machine cannot tell."""

    cpus: float | None
    memory_bytes: int | None
    told_cpus: bool  # whether the control groups say anything about processors
    told_memory: bool


def confinement(pid: int, *, cgroups: Path = CGROUPS, proc: Path = PROC) -> Confinement:
    """The limits of the container that process ``pid`` is in.

    Args:
        pid: Of its first process.
        cgroups: Where control groups are mounted.
        proc: Where processes are.
    """
    cpus, memory = list(_cpus(pid, cgroups, proc)), list(_memory(pid, cgroups, proc))
    return Confinement(
        cpus=min((each for each in cpus if each is not None), default=None),
        memory_bytes=min((each for each in memory if each is not None), default=None),
        told_cpus=bool(cpus),
        told_memory=bool(memory),
    )


def _memory(pid: int, cgroups: Path, proc: Path) -> Iterator[int | None]:
    for group in _groups(pid, "memory", cgroups, proc):
        for name in ("memory.limit_in_bytes", "memory.max"):
            with suppress(OSError):
                said = (group / name).read_text().strip()
                yield None if said == "max" or int(said) >= _NO_LIMIT else int(said)


def _cpus(pid: int, cgroups: Path, proc: Path) -> Iterator[float | None]:
    for group in _groups(pid, "cpu", cgroups, proc):
        with suppress(OSError):
            quota, period = (group / "cpu.max").read_text().split()
            yield None if quota == "max" else int(quota) / int(period)
        with suppress(OSError):
            allowed = int((group / "cpu.cfs_quota_us").read_text())
            yield None if allowed < 0 else allowed / int((group / "cpu.cfs_period_us").read_text())


def _groups(pid: int, controller: str, cgroups: Path, proc: Path) -> Iterator[Path]:
    """The folders of the container's groups that may limit it: of version 1 by controller, of version 2 the one for all."""
    with suppress(OSError):
        for line in (proc / str(pid) / "cgroup").read_text().splitlines():
            number, controllers, path = line.split(":", 2)
            if number == "0" or controller in controllers.split(","):
                root = cgroups if number == "0" else cgroups / controllers
                parts = path.strip("/").split("/")
                first = next((at for at, part in enumerate(parts) if part.startswith(_CONTAINER)), len(parts))
                yield from (root.joinpath(*parts[: end + 1]) for end in range(first, len(parts)))
