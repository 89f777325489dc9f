# SPDX-License-Identifier: Apache-2.0
"""kill -9 of the worker in the middle of an image job: the next one makes the image, once, and tidies up after it."""

from __future__ import annotations

import asyncio
import os
import sys
from asyncio.subprocess import PIPE
from pathlib import Path

import pytest
from sqlalchemy import update

from artifacts.signing.policy import Subject
from artifacts.signing.verifier import BundleVerifier
from registry_api.db.session import EVERY_TENANT
from registry_api.images.fetching import fetch_image, verify_fetched
from registry_api.jobs.process import JOB_VARIABLE, find_by_variable
from registry_api.jobs.tables import JobRow
from tests.integration.registry_api.bench import WAIT_SECONDS, until
from tests.integration.registry_api.images.jobs.works import Works

ROOT = Path(__file__).parents[5]
PROGRAM = Path(__file__).with_name("worker_program.py")
MOMENTS = ("fetching", "building", "storing", "ending")


async def killed(works: Works, job_id: str, moment: str) -> None:
    """A worker in a process of its own takes the job, and is killed at the moment."""
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, str(PROGRAM), str(works.api.platform.settings.home), str(works.root), moment),
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=PIPE,
    )
    assert worker.stdout is not None
    if moment == "building":

        async def at_work() -> bool:
            return "at work" in await works.log(job_id)

        await until(at_work)
    else:
        async with asyncio.timeout(WAIT_SECONDS):
            while await worker.stdout.readline() != b"here\n":
                assert not worker.stdout.at_eof()
    worker.kill()
    await worker.wait()


@pytest.mark.fault("kill -9 of the worker in an image job")
async def test_a_killed_workers_image_is_made_by_the_next(works: Works, tmp_path: Path) -> None:
    """Four workers die over one job; there is one image, complete and verified, and no process or folder of any attempt."""
    image = await works.ask(works.built)
    job_id, platform = image["job_id"], works.api.platform
    async with platform.db.write(EVERY_TENANT) as session:
        await session.execute(update(JobRow).where(JobRow.id == job_id).values(max_attempts=len(MOMENTS) + 1))
    for moment in MOMENTS:
        await killed(works, job_id, moment)
        assert len(works.scratch) == (moment != "ending")  # where the folder is gone already
        assert (await works.api.ok("GET", f"/images/{image['id']}"))["digest"] is None
    async with works.working():
        job = await works.ended(job_id)
    assert (job["state"], job["attempt"]) == ("succeeded", len(MOMENTS) + 1), job
    assert list(find_by_variable(JOB_VARIABLE, job_id)) == []
    assert works.scratch == []
    made = await works.made_image(image["id"])
    layout = await fetch_image(platform.store, "default", made, tmp_path / "fetched")
    verifier = BundleVerifier(platform.keys.policy("default"), platform.clock)
    assert verify_fetched(layout, made, verifier, Subject(tenant="default", model="digits", version=1))
