# SPDX-License-Identifier: Apache-2.0
"""The hostile-load run itself, in short: both tenants are measured, the samples are kept, the goal decides."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from deploy.local.stack import ROOT


def test_one_short_round(tmp_path: Path) -> None:
    """One second of each phase: p50 and p99 of both tenants, whole histograms, and an exit code that a missed goal sets."""
    command = [sys.executable, "-m", "loadtests.hostile", "--rounds", "1", "--seconds", "1", "--goal", "0.001"]
    done = subprocess.run(
        [*command, "--results", str(tmp_path)], cwd=ROOT, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 1, done.stdout + done.stderr[-3000:]
    assert "FAIL  quiet p99 grew" in done.stdout
    assert all(words in done.stdout for words in ("quiet, alone", "quiet, beside the hostile one", "hostile"))
    (samples,) = tmp_path.glob("hostile-digits-*.json")
    (only,) = json.loads(samples.read_text())
    for phase in ("alone", "beside", "hostile"):
        assert only[phase]["requests"] > 0
        assert sum(count for _, count in only[phase]["histogram"]) >= only[phase]["requests"]
        assert (only[phase]["not_200"], only[phase]["socket_errors"]) == (0, 0)
    assert only["hostile"]["requests"] > 3 * only["beside"]["requests"]
