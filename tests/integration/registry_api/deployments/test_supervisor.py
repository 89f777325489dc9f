# SPDX-License-Identifier: Apache-2.0
"""The supervisor of deployed processes passes one wish to end on, however often it is asked, and outlives a full disk."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

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


CHATTY = """
import os, sys, time
for _ in range(64):
    print("x" * 8191, flush=True)
open(sys.argv[1], "w").close()
while not os.path.exists(sys.argv[2]):
    time.sleep(0.01)
print("goes on", flush=True)
"""


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 128 KiB, half of it taken by the file ``other``."""
    disk = tmp_path / "disk"
    disk.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", disk], check=True)
    (disk / "other").write_bytes(b"x" * 65536)
    yield disk
    subprocess.run(["umount", disk], check=True)


async def test_a_full_disk_costs_the_log_and_not_the_service(tmp_path: Path, disk: Path) -> None:
    """512 KiB into 64 KiB of room: the program is not stopped; with room again, it is heard again."""
    logs, said, go = disk / "logs", tmp_path / "said", tmp_path / "go"
    told = [sys.executable, "-c", CHATTY, str(said), str(go)]
    command = [sys.executable, "-I", str(Path(supervisor.__file__)), str(logs), "--", *told]
    process = await asyncio.create_subprocess_exec(*command)

    async def written() -> bool:
        return said.exists()

    await until(written)
    assert sum(path.stat().st_size for path in logs.iterdir()) <= 65536
    (disk / "other").unlink()
    go.touch()
    assert await asyncio.wait_for(process.wait(), 10) == 0
    assert last_lines(logs).splitlines()[-1].endswith("goes on")
