# SPDX-License-Identifier: Apache-2.0
"""What the numbers of a report depend on: runtimes, numpy and the CPU."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Final

import numpy as np

_CPUINFO: Final = Path("/proc/cpuinfo")


def versions(*runtimes: tuple[str, str]) -> dict[str, str]:
    """Versions by name.

    Args:
        runtimes: Name and version of what ran the models.
    """
    return {
        **dict(runtimes),
        "numpy": np.__version__,
        "python": platform.python_version(),
        "cpu": _cpu(),
        "cores": str(len(os.sched_getaffinity(0))),
    }


def _cpu() -> str:
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
