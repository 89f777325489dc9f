# SPDX-License-Identifier: Apache-2.0
"""What is told of the end of a job that makes something."""

from __future__ import annotations

from sqlalchemy import select

from core.errors import ErrorCode
from registry_api.builds.values import BUILD
from registry_api.db.session import Database
from registry_api.jobs.interface import Fault
from registry_api.jobs.testing import a_job
from registry_api.models.source import Source
from registry_api.products.events import failure_teller, tell_success
from registry_api.webhooks.tables import EventRow

JOB = a_job(spec={"build": "b1"})


async def test_success_and_failure_are_told_of_the_product(database: Database, source: Source) -> None:
    """Both name it; one says of what and what was made, the other the code of what went wrong."""
    fault = Fault(code=ErrorCode.JOB_FAILED, message="secret details")
    async with database.write("acme") as session:
        await tell_success(session, BUILD, JOB, source, size=2)
        await failure_teller(BUILD, JOB, fault)(session)
    async with database.read("acme") as session:
        events = list(await session.scalars(select(EventRow)))
    assert {(event.kind, event.subject, event.actor) for event in events} == {("build.finished", "build/b1", "worker")}
    told = {event.new["state"]: event.new for event in events if event.new is not None}
    assert told["succeeded"] == {"build": "b1", "state": "succeeded", "model": "digits", "version": 1, "size": 2}
    assert told["failed"] == {"build": "b1", "state": "failed", "code": "JOB_002"}
