# SPDX-License-Identifier: Apache-2.0
"""The file of a GPU run: what is kept, and the figures read from it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from loadtests.bench.results import Machine
from loadtests.gpu.results import Case, Checked, Copy, Device, Results, Timing, as_text, percentile

PASSED = Checked(test="TestOnnxCuda::test_close", outcome="passed", message="")
FAILED = Checked(test="TestOnnxCuda::test_run", outcome="failed", message="the runner is onnx-cpu")


def results(*contract: Checked) -> Results:
    case = Case(model="mlp", rows=32, graphs=True, pinned=False)
    return Results(
        started=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
        machine=Machine(cpu="CPU", cores=2, system="Linux 6.1", python="3.11.7"),
        device=Device(name="Card", uuid="GPU-1", memory_bytes=80 << 30, free_bytes=79 << 30, driver="580.65.06"),
        versions={"torch": "2.13.0"},
        quick=False,
        contract=list(contract),
        timings=[Timing(case=case, nanoseconds=[1_000_000, 4_000_000, 2_000_000])],
        copies=[Copy(bytes=1 << 20, pinned=True, nanoseconds=[131_072, 262_144, 65_536])],
    )


@pytest.mark.parametrize(
    ("values", "percent", "expected"),
    [([5], 50, 5), ([4, 1, 3, 2], 50, 2), (range(1, 101), 99, 99), (range(1, 1001), 99, 990), ([2, 1], 100, 2)],
)
def test_percentiles_are_samples(values: list[int], percent: float, expected: int) -> None:
    """The smallest that so many are no greater than."""
    assert percentile(values, percent) == expected


def test_nothing_measured_has_no_percentile() -> None:
    """It is an error, not 0."""
    with pytest.raises(ValueError, match="no samples"):
        percentile([], 50)


def test_rates_are_by_the_median() -> None:
    """Rows of one execution after the other; 10^9 bytes."""
    found = results()
    assert found.timings[0].rows_per_second == 16_000
    assert found.copies[0].gigabytes_per_second == 8.0


@pytest.mark.parametrize(("contract", "passed"), [([PASSED], True), ([PASSED, FAILED], False), ([], False)])
def test_a_contract_that_did_not_run_has_not_passed(contract: list[Checked], passed: bool) -> None:
    """Nor has one of which a test failed."""
    assert results(*contract).passed is passed


def test_the_file_holds_every_sample(tmp_path: Path) -> None:
    """Read back, it is the run."""
    written = results(PASSED, FAILED)
    path = written.write(tmp_path)
    assert path.name == "gpu-20260102T030405Z.json"
    assert msgspec.json.decode(path.read_bytes(), type=Results) == written
    assert list(tmp_path.iterdir()) == [path]


def test_the_text_names_what_failed() -> None:
    """With the figures of every case and copy."""
    text = as_text(results(PASSED, FAILED))
    assert "contract: 1 of 2 passed" in text
    assert "failed TestOnnxCuda::test_run: the runner is onnx-cpu" in text
    assert ["mlp", "32", "yes", "no", "2.000", "4.000", "16,000"] in [line.split() for line in text.splitlines()]
