# SPDX-License-Identifier: Apache-2.0
"""A process is killed with SIGKILL at every step of a purge."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from core.clock import ManualClock
from registry_api.audit.service import AuditService
from tests.integration.registry_api.rest import open_api, tiny_onnx


@pytest.mark.fault("kill -9 at every statement of a purge")
async def test_a_purge_that_is_killed_anywhere_is_ended_by_the_next_sweep(tmp_path: Path) -> None:
    """After each kill every version is there wholly or not at all, and history and events tell just what went."""
    home = tmp_path / "home"
    async with open_api(home, clock=ManualClock()) as api:
        await api.ok("POST", "/models", json={"name": "digits"})
        await api.push("digits", {"model.onnx": tiny_onnx(), "note.txt": b"note"})
        await api.ok("PUT", "/models/digits/versions/1/card", json={"fields": {"license": "MIT"}})
        await api.ok("DELETE", "/models/digits", params={"reason": "r"})
    program = [sys.executable, "-m", "tests.integration.registry_api.deletion.killed_program", str(home)]
    out = (await asyncio.to_thread(_run, program)).stdout
    steps = [json.loads(line) for line in out.splitlines() if line.startswith('{"step"')]
    assert len(steps) > 30  # otherwise nothing was tried
    assert steps[0]["killed"]
    assert any(step["killed"] and step["closed"] for step in steps)  # half-way
    before = steps[0]["rows"]
    assert (before["versions"], before["version_files"], before["variants"], before["uploads"]) == (1, 2, 1, 1)
    gone = dict.fromkeys(before, 0)
    for step in steps:
        model, version = step["entries"].get("model.purged", 0), step["entries"].get("version.purged", 0)
        assert step["events"] == step["entries"], step
        assert (step["closed"], version <= model) == (bool(model), True), step
        assert step["rows"] == (gone if version else before), step
        assert step["killed"] or (model, version) == (1, 1), step
    async with open_api(home) as api:
        assert (await api.services.get(AuditService).verify("default")).findings == ()
        assert (await api.ok("POST", "/models", json={"name": "digits"}))["latest_version"] is None


def _run(program: list[str]) -> subprocess.CompletedProcess[Any]:
    return subprocess.run(program, check=True, capture_output=True, text=True, timeout=300)
