# SPDX-License-Identifier: Apache-2.0
"""The file of a run, with every sample, and the figures read from it.

Modes of one model and batch are measured in turn, round by round, so that a drift of the clock meets all of them alike.
Percentiles are the nearest sample at or above.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import msgspec

from loadtests.bench.results import FOLDER, Machine


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One way to run one model."""

    model: str
    rows: int
    graphs: bool  # CUDA graphs are captured and replayed
    pinned: bool  # inputs go through page-locked memory


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """A case and how long each of its executions took, from arrays to arrays."""

    case: Case
    nanoseconds: list[int]

    @property
    def rows_per_second(self) -> float:
        """By the median, one execution at a time."""
        return self.case.rows * 1e9 / percentile(self.nanoseconds, 50)


class Copy(msgspec.Struct, frozen=True, kw_only=True):
    """Copies of one size from the host to the device, one at a time."""

    bytes: int
    pinned: bool
    nanoseconds: list[int]

    @property
    def gigabytes_per_second(self) -> float:
        """10^9 bytes, by the median."""
        return self.bytes / percentile(self.nanoseconds, 50)


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """One test of the contract."""

    test: str
    outcome: str  # passed, failed, error or skipped
    message: str  # why it did not pass


class Device(msgspec.Struct, frozen=True, kw_only=True):
    """What it was run on."""

    name: str
    uuid: str
    memory_bytes: int | None
    free_bytes: int | None  # before
    driver: str


class Results(msgspec.Struct, kw_only=True):
    """One run."""

    started: datetime
    machine: Machine
    device: Device
    versions: dict[str, str]
    quick: bool
    contract: list[Checked]
    timings: list[Timing]
    copies: list[Copy]

    @property
    def passed(self) -> bool:
        """Whether the contract ran and nothing in it failed."""
        return bool(self.contract) and all(item.outcome in ("passed", "skipped") for item in self.contract)

    def write(self, folder: Path = FOLDER) -> Path:
        """Replaces the file of this run in one step; where it is."""
        folder.mkdir(exist_ok=True)
        path = folder / f"gpu-{self.started:%Y%m%dT%H%M%SZ}.json"
        partial = path.with_suffix(".partial")
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=1))
        partial.replace(path)
        return path


def percentile(values: Sequence[int], percent: float) -> int:
    """The smallest value that at least ``percent`` of a hundred are no greater than.

    Raises:
        ValueError: There are no values.
    """
    if not values:
        raise ValueError("there are no samples")
    return sorted(values)[max(0, math.ceil(len(values) * percent / 100) - 1)]


def as_text(results: Results) -> str:
    """The figures for people."""
    failed = [item for item in results.contract if item.outcome not in ("passed", "skipped")]
    lines = [
        f"{results.device.name}, driver {results.device.driver}; {', '.join(map(' '.join, results.versions.items()))}",
        f"contract: {len(results.contract) - len(failed)} of {len(results.contract)} passed",
        *(f"  {item.outcome} {item.test}: {item.message}" for item in failed),
        f"{'model':<14}{'rows':>6}  {'graphs':<7}{'pinned':<7}{'p50 ms':>9}{'p99 ms':>9}{'rows/s':>12}",
    ]
    for timing in results.timings:
        case = timing.case
        middle, late = (percentile(timing.nanoseconds, percent) / 1e6 for percent in (50, 99))
        lines.append(
            f"{case.model:<14}{case.rows:>6}  {_word(case.graphs):<7}{_word(case.pinned):<7}"
            f"{middle:>9.3f}{late:>9.3f}{timing.rows_per_second:>12,.0f}"
        )
    lines.append(f"{'host to device':<20}  {'pinned':<7}{'GB/s':>9}")
    lines += [f"{copy.bytes:>20,}  {_word(copy.pinned):<7}{copy.gigabytes_per_second:>9.2f}" for copy in results.copies]
    return "\n".join(lines)


def _word(value: bool) -> str:
    return "yes" if value else "no"
