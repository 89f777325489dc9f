# SPDX-License-Identifier: Apache-2.0
"""Law: whatever runs at once, every blob that a live or restorable version needs is there and whole.

Pushers share the same few files while others delete, restore and promote, purges find everything due at once, and collections
spare no age. Two laws are looked at beside it: no number is given twice, and what history says of a version is how it ended.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path

import pytest

from core.errors import Conflict, ModelError
from registry_api.audit.service import AuditService
from registry_api.deletion.purging.purger import Purger
from registry_api.deletion.service import DeletionService, Why
from registry_api.http.access import Role
from registry_api.http.auth import Principal
from registry_api.http.pagination import PageRequest
from registry_api.models.description import Description, DescriptionService
from registry_api.models.repository import VersionRepository
from registry_api.models.values import Stage
from registry_api.promotion.gatekeeper import Gatekeeper
from registry_api.promotion.gathering import Gatherer
from registry_api.promotion.service import PromotionService
from registry_api.tunings.measurements import TuningMeasurements
from tests.integration.registry_api.storage.test_collection import AT_ONCE, Setting, opened

ANN = Principal(tenant="default", key_id="k1", name="ann", roles=frozenset({Role.MODEL_ADMIN}))
CONTENTS = [bytes([65 + at]) * 50 for at in range(5)]
WHY = Why(principal=ANN, reason="r")
NUMBERS = 8  # versions are drawn from the first so many, there or not


@pytest.fixture
async def setting(tmp_path: Path) -> AsyncIterator[Setting]:
    async with AsyncExitStack() as stack:
        made = await opened(stack, tmp_path)
        await DescriptionService(made.platform.db, made.platform.clock).create(ANN, "digits", Description())
        for content in CONTENTS[:3]:
            await made.push(content)
        yield made


class Schedule:
    """What runs at once, drawn from one seed."""

    def __init__(self, setting: Setting, seed: int) -> None:
        platform = setting.platform
        db, clock = platform.db, platform.clock
        gatherer = Gatherer(platform.store, platform.keys, clock, TuningMeasurements())
        self.setting = setting
        self.rng = random.Random(seed)
        self.done = asyncio.Event()
        self.counts: Counter[str] = Counter()
        self.promotion = PromotionService(db, clock, Gatekeeper(db, gatherer, {}))
        self.purger = Purger(db, clock)
        self.versions = DeletionService(db, clock, retention=timedelta(0))
        self.models = DeletionService(db, clock, retention=timedelta(days=1))  # or no push would find it any more

    async def push(self) -> None:
        for _ in range(5):
            await asyncio.sleep(self.rng.random() * 0.01)
            with suppress(ModelError):  # the model is deleted at the moment
                await self.setting.push(*self.rng.sample(CONTENTS, k=self.rng.randint(1, 3)))
                self.counts["pushed"] += 1

    async def change(self) -> None:
        works = (self._delete, self._delete, self._restore, self._restore, self._move, self._delete_model)
        while not self.done.is_set():
            with suppress(ModelError, Conflict):
                await self.rng.choice(works)(self.rng.randint(1, NUMBERS))
            await asyncio.sleep(0.001)

    async def sweep(self) -> None:
        while not self.done.is_set():
            if self.rng.random() < 0.3:
                self.counts["purged"] += await self.purger.purge()
            await self.setting.collect(AT_ONCE)
            await asyncio.sleep(0)

    async def _delete(self, number: int) -> None:
        await self.versions.delete_version(WHY, "digits", number)
        self.counts["deleted"] += 1

    async def _restore(self, number: int) -> None:
        await self.versions.restore_version(WHY, "digits", number)
        self.counts["restored"] += 1

    async def _move(self, number: int) -> None:
        after = self.rng.choice((Stage.STAGING, Stage.PRODUCTION))
        await self.promotion.change_stage(ANN, "digits", number, after, "r")

    async def _delete_model(self, _number: int) -> None:
        await self.models.delete_model(WHY, "digits")
        await asyncio.sleep(0)
        await self.models.restore_model(WHY, "digits")


@pytest.mark.parametrize("seed", range(3))
async def test_no_schedule_loses_a_blob_of_a_version_that_is_there_or_can_be_restored(
    setting: Setting, seed: int
) -> None:
    """Every interleaving of pushes, deletions, restores, promotions, purges and collections of one seed."""
    schedule = Schedule(setting, seed)
    beside = [asyncio.create_task(work()) for work in (schedule.change, schedule.change, schedule.sweep)]
    try:
        await asyncio.gather(*(schedule.push() for _ in range(3)))
    finally:
        schedule.done.set()
        await asyncio.gather(*beside)
    report = await setting.check(deep=True)
    assert report.sound, report
    assert schedule.counts["deleted"] > 0
    await _look(setting, schedule.counts)


async def _look(setting: Setting, counts: Counter[str]) -> None:
    """Compares what there is with what history says."""
    platform = setting.platform
    audit = AuditService(platform.db, platform.keys, platform.clock)
    found = (await audit.page("default", PageRequest(limit=10_000))).items
    entries = [entry.event for entry in reversed(found)]
    gone = {event.subject for event in entries if event.action == "version.purged"}
    assert len(gone) == sum(event.action == "version.purged" for event in entries)
    last = {event.subject: event.action for event in entries if event.action.startswith("version.")}
    async with platform.db.read("default") as session:
        versions = VersionRepository(session, "default")
        for subject in (f"digits@{number}" for number in range(1, counts["pushed"] + 4)):
            number = int(subject.partition("@")[2])
            there, hidden = [await versions.get("digits", number, deleted=deleted) for deleted in (False, True)]
            ended = last.get(subject)
            assert (ended == "version.purged") == (there is None and hidden is None), subject
            assert (ended == "version.deleted") == (hidden is not None), subject
    assert (await audit.verify("default")).findings == ()
