# SPDX-License-Identifier: Apache-2.0
"""The cores a process may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runners.devices import usable_cores

SCHEDULABLE = len(os.sched_getaffinity(0))


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, SCHEDULABLE),
        ({"cpu.max": "max 100000\n"}, SCHEDULABLE),
        ({"cpu.max": "150000 100000\n"}, 1),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "100000000 100000\n"}, SCHEDULABLE),
        ({"cpu.max": "garbage"}, SCHEDULABLE),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, SCHEDULABLE),
        ({"cpu/cpu.cfs_quota_us": "100000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 1),
    ],
    ids=["none", "unlimited", "1.5", "half", "more", "garbage", "v1 unlimited", "v1"],
)
def test_the_quota_of_the_container_counts(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    """What may be scheduled on, within the quota rounded down, at least one."""
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert usable_cores(tmp_path) == expected
