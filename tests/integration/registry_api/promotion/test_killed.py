# SPDX-License-Identifier: Apache-2.0
"""A process is killed with SIGKILL at every step of a promotion."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest

from registry_api.audit.service import AuditService
from tests.integration.registry_api.promotion.governing import move
from tests.integration.registry_api.rest import open_api, tiny_onnx


@pytest.mark.fault("kill -9 at every statement of a promotion")
async def test_a_promotion_that_is_killed_anywhere_happened_wholly_or_not_at_all(tmp_path: Path) -> None:
    """After each kill one version is in production, and stages, history and events are all before or all after."""
    home = tmp_path / "home"
    async with open_api(home) as api:
        await api.ok("POST", "/models", json={"name": "digits"})
        for seed in range(2):
            await api.push("digits", {"model.onnx": tiny_onnx(), "note.txt": b"%d" % seed})
            await move(api, seed + 1, "STAGING")
        await move(api, 1, "PRODUCTION")
    program = [sys.executable, "-m", "tests.integration.registry_api.promotion.killed_program", str(home)]
    out = (await asyncio.to_thread(_run, program)).stdout
    steps = [json.loads(line) for line in out.splitlines() if line.startswith('{"step"')]
    assert [step["killed"] for step in steps] == [True] * (len(steps) - 1) + [False]
    assert len(steps) > 20  # otherwise nothing was tried
    before = 3
    for step in steps:
        there = [int(number) for number, stage in step["stages"].items() if stage == "PRODUCTION"]
        happened = step["entries"] - before
        assert there == [step["wanted"] if happened else 3 - step["wanted"]], step
        assert happened in (0, 2), step
        assert step["killed"] or happened == 2, step
        before = step["entries"]
    async with open_api(home) as api:
        verdict = await api.services.get(AuditService).verify("default")
        assert verdict.findings == ()
        assert verdict.entries >= before


def _run(program: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(program, check=True, capture_output=True, text=True, timeout=120)
