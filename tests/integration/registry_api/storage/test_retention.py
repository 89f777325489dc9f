# SPDX-License-Identifier: Apache-2.0
"""How long ended jobs and their logs are kept, and the maintenance commands as an operator runs them."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import AsyncExitStack
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select

from artifacts.digest import digest_bytes
from core.clock import ManualClock
from registry_api.bootstrap.platform import Platform, open_platform
from registry_api.db.session import EVERY_TENANT
from registry_api.jobs.tables import JobLogRow, JobRow
from registry_api.models.description import Description, DescriptionService
from registry_api.settings.registry import Settings
from registry_api.storage.repository import forget_jobs
from registry_api.tunings.tables import TuningRow
from tests.integration.registry_api.storage.test_blobs import CALLER
from tests.integration.registry_api.storage.test_collection import opened


def job(number: int, *, finished_at: datetime | None, now: datetime) -> JobRow:
    return JobRow(
        number=number,
        id=f"{number:032x}",
        tenant="default",
        kind="tune",
        state="queued" if finished_at is None else "succeeded",
        spec={},
        progress=0.0,
        step="",
        attempt=1,
        max_attempts=3,
        cancel_requested=False,
        log_size=3,
        run_after=now,
        created_at=now,
        finished_at=finished_at,
    )


async def left(platform: Platform) -> tuple[list[int], int]:
    """The numbers of the jobs that are there, and how many have a log."""
    async with platform.db.read(EVERY_TENANT) as session:
        numbers = (await session.scalars(select(JobRow.number).order_by(JobRow.number))).all()
        return list(numbers), await session.scalar(select(func.count()).select_from(JobLogRow)) or 0


async def test_old_ended_jobs_are_forgotten(tmp_path: Path) -> None:
    """Old ended jobs go with their logs, a few at a time; of one that a tuning names, the log; others stay."""
    clock = ManualClock()
    now = clock.now()
    old, young = now - timedelta(days=91), now - timedelta(days=89)
    async with open_platform(Settings(home=tmp_path), clock) as platform:
        async with platform.db.write(EVERY_TENANT) as session:
            ends = (old, old, old, young, None)
            session.add_all([job(at, finished_at=end, now=now) for at, end in enumerate(ends, start=1)])
            await session.flush()
            session.add_all([JobLogRow(job_number=at, start=0, data=b"log") for at in range(1, 6)])
            session.add(tuning_of(f"{3:032x}", now))
        counts = []
        for _ in range(3):
            async with platform.db.write(EVERY_TENANT) as session:
                counts.append(await forget_jobs(session, ended_before=now - timedelta(days=90), most=2))
        assert counts == [2, 1, 0]
        assert await left(platform) == ([3, 4, 5], 2)


def tuning_of(job_id: str, now: datetime) -> TuningRow:
    return TuningRow(
        id=job_id,
        tenant="default",
        model="digits",
        version=1,
        variant="onnx-fp32/cpu",
        format="onnx",
        variant_digest="sha256:" + "1" * 64,
        variant_signature_digest="sha256:" + "2" * 64,
        job_id=job_id,
        created_at=now,
    )


def furo_registry(home: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    own = {"FUROSHIKI_HOME": str(home), **settings}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FUROSHIKI_")}
    command = [sys.executable, "-m", "registry_api", *arguments]
    return subprocess.run(command, env={**clean, **own}, capture_output=True, text=True, check=False, timeout=120)


def test_the_commands_of_an_empty_registry(tmp_path: Path) -> None:
    """Each says what it looked at and ends with 0."""
    for arguments, told in (
        (("gc",), "0 blobs looked at, 0 removed, 0 remains of writes removed\n"),
        (("fsck", "--deep"), "default: 0 needed, 0 missing, 0 damaged, 0 unreferenced (0 bytes)\n"),
        (("rewrap", "--rotate", "--tenant", "default"), "0 blobs looked at, 0 rewrapped, 0 damaged\n"),
        (("convert",), "0 blobs looked at, 0 encrypted, 0 damaged\n"),
    ):
        done = furo_registry(tmp_path, *arguments, FUROSHIKI_STORE__ENCRYPTION="on")
        assert (done.returncode, done.stdout) == (0, told), done.stderr


async def test_fsck_ends_with_1_when_something_is_missing(tmp_path: Path) -> None:
    """The digest is on stdout."""
    async with AsyncExitStack() as stack:
        setting = await opened(stack, tmp_path)
        await DescriptionService(setting.platform.db, setting.platform.clock).create(CALLER, "digits", Description())
        await setting.push(b"model", b"labels")
        await setting.platform.store.delete("default", digest_bytes(b"labels"))
    done = await asyncio.to_thread(furo_registry, tmp_path, "fsck")
    assert done.returncode == 1, done.stderr
    assert f"  missing {digest_bytes(b'labels')}\n" in done.stdout
