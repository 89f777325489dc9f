# SPDX-License-Identifier: Apache-2.0
"""What this process may use of its machine."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

_CGROUP: Final = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path = _CGROUP) -> int:
    """Cores this process may keep busy: those it may be scheduled on, within the quota of its container, at least 1.

    Args:
        cgroup: Where the control groups are mounted. Version 2 has ``cpu.max``, version 1 ``cpu/cpu.cfs_*_us``.
    """
    cores = len(os.sched_getaffinity(0))
    quota = _quota(cgroup)
    return cores if quota is None else max(1, min(cores, int(quota)))


def _quota(cgroup: Path) -> float | None:
    with suppress(OSError, ValueError, ZeroDivisionError):
        quota, period = (cgroup / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    with suppress(OSError, ValueError, ZeroDivisionError):
        microseconds = int((cgroup / "cpu" / "cpu.cfs_quota_us").read_text())
        return None if microseconds < 0 else microseconds / int((cgroup / "cpu" / "cpu.cfs_period_us").read_text())
    return None
