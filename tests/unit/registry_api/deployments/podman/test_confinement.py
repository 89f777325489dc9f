# SPDX-License-Identifier: Apache-2.0
"""Limits are read from the control groups of a container: version 1, version 2, and where there are none."""

from __future__ import annotations

from pathlib import Path

from registry_api.deployments.podman.confinement import Confinement, confinement

ID = "libpod-" + "a" * 64
NOTHING = Confinement(cpus=None, memory_bytes=None, told_cpus=False, told_memory=False)


def _read(root: Path, groups: str, files: dict[str, str]) -> Confinement:
    process = root / "proc" / "7"
    process.mkdir(parents=True)
    (process / "cgroup").write_text(groups)
    for name, content in files.items():
        path = root / "cgroups" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content + "\n")
    return confinement(7, cgroups=root / "cgroups", proc=root / "proc")


def test_version_1(tmp_path: Path) -> None:
    """Each controller has a hierarchy; the group of the unified one beside them says nothing."""
    files = {
        f"memory/up/{ID}/memory.limit_in_bytes": "134217728",
        f"cpu/up/{ID}/cpu.cfs_quota_us": "25000",
        f"cpu/up/{ID}/cpu.cfs_period_us": "100000",
    }
    found = _read(tmp_path, f"4:memory:/up/{ID}\n2:cpuset:/up/{ID}\n1:cpu:/up/{ID}\n0::/up/{ID}\n", files)
    assert found == Confinement(cpus=0.25, memory_bytes=134217728, told_cpus=True, told_memory=True)


def test_version_1_without_limits(tmp_path: Path) -> None:
    """The largest number of pages, and -1, are no limits."""
    files = {
        f"memory/{ID}/memory.limit_in_bytes": "9223372036854771712",
        f"cpu/{ID}/cpu.cfs_quota_us": "-1",
        f"cpu/{ID}/cpu.cfs_period_us": "100000",
    }
    found = _read(tmp_path, f"4:memory:/{ID}\n1:cpu:/{ID}\n", files)
    assert found == Confinement(cpus=None, memory_bytes=None, told_cpus=True, told_memory=True)


def test_version_2(tmp_path: Path) -> None:
    """The tightest of the container's own groups counts; those above it are not the container's."""
    files = {
        "machine.slice/memory.max": "1000",
        f"machine.slice/{ID}.scope/memory.max": "268435456",
        f"machine.slice/{ID}.scope/cpu.max": "50000 100000",
        f"machine.slice/{ID}.scope/container/memory.max": "max",
        f"machine.slice/{ID}.scope/container/cpu.max": "max 100000",
    }
    found = _read(tmp_path, f"0::/machine.slice/{ID}.scope/container\n", files)
    assert found == Confinement(cpus=0.5, memory_bytes=268435456, told_cpus=True, told_memory=True)


def test_nothing_can_be_told(tmp_path: Path) -> None:
    """Of a process that is gone, or is in no group of a container."""
    assert confinement(8, cgroups=tmp_path, proc=tmp_path) == NOTHING
    assert _read(tmp_path, "0::/system.slice\n", {"system.slice/memory.max": "1000"}) == NOTHING
