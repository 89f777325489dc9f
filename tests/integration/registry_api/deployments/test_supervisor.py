# SPDX-License-Identifier: Apache-2.0
"""The supervisor of deployed processes passes one wish to end on, however often it is asked."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

from registry_api.deployments import supervisor
from registry_api.deployments.logs import last_lines
from tests.integration.registry_api.bench import until

PROGRAM = """
import signal, time
seen = []
signal.signal(signal.SIGTERM, lambda *_: seen.append(1))
print("up", flush=True)
while not seen:
    time.sleep(0.01)
time.sleep(0.3)  # what it still answers
print("asked", len(seen), flush=True)
"""


async def test_a_second_wish_to_end_is_not_passed_on(tmp_path: Path) -> None:
    """Two workers may end one instance at once: its server gets one SIGTERM and finishes what it answers."""
    command = [sys.executable, "-I", str(Path(supervisor.__file__)), str(tmp_path), "--", sys.executable, "-c", PROGRAM]
    process = await asyncio.create_subprocess_exec(*command)

    async def says(text: str) -> bool:
        return text in last_lines(tmp_path)

    await until(lambda: says("up"))
    process.send_signal(signal.SIGTERM)
    await asyncio.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert await asyncio.wait_for(process.wait(), 10) == 0
    assert last_lines(tmp_path).splitlines() == ["up", "asked 1"]
