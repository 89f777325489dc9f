# SPDX-License-Identifier: Apache-2.0
"""The load test itself, in short: it passes against this service, and fails when a threshold does not hold."""

from __future__ import annotations

import csv
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.stack import ROOT
from deploy.local.train import train_wine
from loadtests.locust.__main__ import TENANTS
from loadtests.locust.tenants import Shared, shared_service


def run(results: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "loadtests.locust", "--results", str(results), *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)


def test_thirty_seconds_of_the_plan(tmp_path: Path) -> None:
    """Up to 100 users a second over four protocols, two tenants and two models: every threshold holds, the report is kept."""
    done = run(tmp_path, "--ramp", "8", "--hold", "22")
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert done.stdout.count("PASS") == 3
    (report,) = tmp_path.glob("*.html")
    assert "digits" in report.read_text()
    (statistics,) = tmp_path.glob("*_stats.csv")
    with statistics.open() as file:
        rows = {row["Name"]: row for row in csv.DictReader(file)}
    asked = {
        f"{protocol} {tenant}/{model}"
        for protocol in ("v1", "v2-json", "v2-binary", "grpc")
        for tenant in TENANTS
        for model in ("digits", "wine")
    }
    assert asked == set(rows) - {"Aggregated"}
    assert all(int(rows[name]["Request Count"]) > 0 for name in asked)
    assert rows["Aggregated"]["Failure Count"] == "0"


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared]:
    folder = tmp_path_factory.mktemp("shared")
    with shared_service(folder / "home", tenants=("acme",), models=[train_wine(folder).file]) as running:
        yield running


@pytest.mark.parametrize(("threshold", "code"), [([], 0), (["--p95-ms", "0.001"], 1)])
def test_a_running_service_and_a_threshold_that_does_not_hold(
    service: Shared, tmp_path: Path, threshold: list[str], code: int
) -> None:
    """``--host`` loads a service that runs already; a threshold nobody can hold gives exit code 1."""
    key = tmp_path / "acme"
    key.write_text(service.keys["acme"])
    there = ["--host", service.url, "--grpc", service.grpc, "--key-file", str(key), "--model", "wine"]
    done = run(tmp_path, *there, "--rate", "10", "--ramp", "0", "--hold", "2", *threshold)
    assert done.returncode == code, done.stdout + done.stderr[-3000:]
    assert ("FAIL" in done.stdout) == bool(code)
