# SPDX-License-Identifier: Apache-2.0
"""What every handler of a product does when an attempt begins, ends or is given up."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import select

from artifacts.digest import digest_bytes
from artifacts.keys.file import FileKeyProvider
from artifacts.stores.objects import ObjectBlobStore
from artifacts.testing import refused
from core.clock import ManualClock
from core.errors import ErrorCode, JobError
from registry_api.builds.values import BUILD
from registry_api.db.session import Database
from registry_api.jobs.interface import Fault, JobKind, JobTask, Outcome
from registry_api.jobs.testing import RecordingTask, a_job
from registry_api.models.source import Source
from registry_api.models.transfer import upload_bytes
from registry_api.products.handler import ProductHandler, Tools, WorkOptions
from registry_api.webhooks.tables import EventRow

JOB = a_job(spec={"build": "b1"})
MADE = b"made"


class Maker(ProductHandler[WorkOptions]):
    """Makes a file, and shows what a slice's own handler has."""

    product = BUILD

    async def run(self, task: JobTask) -> Outcome:
        """Fails with the file half made."""
        with self._scratch(task.job) as folder:
            (folder / "file").write_bytes(MADE)
            raise JobError(ErrorCode.JOB_FAILED, f"in {folder}")

    async def check(self, database: Database, source: Source) -> None:
        """In a transaction like the one that ends the job."""
        async with database.write(source.tenant) as session:
            await self._check_stored(session, source, [digest_bytes(MADE)])


@pytest.fixture
def store() -> ObjectBlobStore:
    return ObjectBlobStore.memory()


@pytest.fixture
def maker(database: Database, store: ObjectBlobStore, clock: ManualClock, tmp_path: Path) -> Maker:
    options = WorkOptions(scratch=tmp_path / "scratch", timeout_seconds=60.0)
    tools = Tools(db=database, store=store, keys=FileKeyProvider(tmp_path / "keys", clock), clock=clock)
    return Maker(tools, options=options)


async def test_an_attempt_leaves_nothing(maker: Maker, tmp_path: Path) -> None:
    """It works below its folder, which is empty again however it ends."""
    assert (maker.kind, maker.timeout) == (JobKind.BUILD, 60.0)
    with refused(ErrorCode.JOB_FAILED, str(tmp_path / "scratch" / f"build-{JOB.id}-")):
        await maker.run(RecordingTask(job=JOB))
    assert list((tmp_path / "scratch").iterdir()) == []


async def test_what_was_given_up_is_swept_and_told(maker: Maker, database: Database, tmp_path: Path) -> None:
    """The folder of a killed attempt goes, those of other jobs stay, and an event says that the product will never be."""
    theirs, other = (tmp_path / "scratch" / f"build-{name}-x" for name in (JOB.id, "other"))
    for folder in (theirs, other):
        folder.mkdir(parents=True)
    apply = await maker.abandon(JOB, Fault(code=ErrorCode.JOB_FAILED, message="no"))
    assert (theirs.exists(), other.exists()) == (False, True)
    assert apply is not None
    async with database.write("acme") as session:
        await apply(session)
    async with database.read("acme") as session:
        assert [event.subject for event in await session.scalars(select(EventRow))] == ["build/b1"]


async def test_what_was_removed_meanwhile_is_not_recorded(
    maker: Maker, database: Database, store: ObjectBlobStore, source: Source
) -> None:
    """STORE_003 in the words of the kind; with its blobs there the job may end."""
    with refused(ErrorCode.BLOB_CORRUPT, "before the build ended"):
        await maker.check(database, source)
    await upload_bytes(store, "acme", MADE)
    await maker.check(database, source)
