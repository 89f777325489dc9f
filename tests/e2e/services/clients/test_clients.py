# SPDX-License-Identifier: Apache-2.0
"""The clients people have, unchanged, against the served product: each runs its whole suite in an environment of its own."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from deploy.local.stack import ROOT

SUITES = ROOT / "tests" / "e2e" / "services" / "clients" / "suites"
CLIENTS = ("triton_http", "triton_http_aio", "triton_grpc", "triton_grpc_aio", "kserve_rest", "kserve_grpc")


def test_every_suite_is_run() -> None:
    """No suite lies there unused."""
    assert {path.stem.removeprefix("suite_") for path in SUITES.glob("suite_*.py")} == set(CLIENTS)


@pytest.mark.parametrize("client", CLIENTS)
def test_suite(python: Path, facts: dict[str, str], client: str) -> None:
    """Every test of the client's suite passes, and none is skipped."""
    command = [str(python), "-m", "pytest", "-c", str(SUITES / "pytest.ini"), str(SUITES / f"suite_{client}.py")]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    done = subprocess.run(
        command, cwd=SUITES, env={**inherited, **facts}, capture_output=True, text=True, timeout=180, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    summary = done.stdout.strip().splitlines()[-1]
    assert re.match(r"\d+ passed(, \d+ warnings?)? in ", summary), summary
