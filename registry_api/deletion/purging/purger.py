# SPDX-License-Identifier: Apache-2.0
"""Purges what was deleted and whose time is over; part of housekeeping.

A version goes in one transaction: its rows, those of builds, images, tunings and uploads that name its blobs, the event and
the history, or nothing. From then on nobody refers to its blobs, and the collection removes those that nobody else needs.

A model is first closed in one transaction, from which on it cannot be restored; its versions then go one by one, in this
sweep or, if the process is killed, in the next. Its row stays, without text, and keeps name and count: a later model of that
name never gives a number again, so no old signature fits a new version.

What something still uses (a job that had begun) waits for the next sweep.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeAlias

from core.clock import Clock
from core.telemetry.logs import get_logger
from registry_api.db.session import EVERY_TENANT, Database, Session
from registry_api.deletion.policy import is_due
from registry_api.deletion.purging.repository import Due, PurgeRepository, due_models, due_versions
from registry_api.deletion.repository import DeletionRepository
from registry_api.deletion.telling import Told, evidence_of, facts, tell
from registry_api.models.repository import ModelRepository
from registry_api.models.rows import deletion_of

_BATCH: Final = 100
_OVER: Final = "the time for restoring it was over"

_Find: TypeAlias = Callable[..., Awaitable[Sequence[Due]]]

_log = get_logger(__name__)


class Purger:
    """Purges, of every tenant.

    Args:
        db: Where rows are.
        clock: Says what is due.
    """

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    async def purge(self) -> int:
        """Purges everything that is due and not used; how many models and versions went.

        Raises:
            Unavailable: ``STORE_001`` if the database cannot be reached; what was done stays done.
        """
        models = await self._each(due_models, self._purge_model)
        return models + await self._each(due_versions, self._purge_version)

    async def _each(self, find: _Find, purge: Callable[[Session, Due], Awaitable[bool]]) -> int:
        done = after = 0
        while True:
            async with self._db.read(EVERY_TENANT) as session:
                batch = await find(session, self._clock.now(), after=after, most=_BATCH)
            for due in batch:
                async with self._db.write(due.tenant) as session:
                    gone = await purge(session, due)
                if gone:
                    done += 1
                    _log.info("purged", tenant=due.tenant, model=due.model, version=due.version)
            if len(batch) < _BATCH:
                return done
            after = batch[-1].id

    async def _purge_model(self, session: Session, due: Due) -> bool:
        now, rows = self._clock.now(), DeletionRepository(session, due.tenant)
        model_id = await rows.lock(due.model)
        found = await ModelRepository(session, due.tenant).get(due.model, deleted=True)
        if model_id is None or found is None or not is_due(found.deletion, now) or await rows.uses(model_id):
            return False
        await PurgeRepository(session, due.tenant).close_model(model_id, due.model, at=now)
        told = Told(
            tenant=due.tenant,
            action="model.purged",
            subject=due.model,
            before=facts(found.deletion),
            after=None,
            reason=_OVER,
            evidence=evidence_of(found),
        )
        await tell(session, told, at=now)
        return True

    async def _purge_version(self, session: Session, due: Due) -> bool:
        assert due.version is not None  # from due_versions
        now, rows = self._clock.now(), DeletionRepository(session, due.tenant)
        purging = PurgeRepository(session, due.tenant)
        model_id = await rows.lock(due.model)
        row = None if model_id is None else await purging.version(model_id, due.version)
        if model_id is None or row is None or not is_due(deletion_of(row), now):
            return False
        if await rows.uses(model_id, due.version):
            return False
        before = facts(deletion_of(row))
        evidence = {"digest": row.digest, "stage": row.stage, "format": row.format, "bytes": row.size}
        await purging.remove_version(due.model, row)
        told = Told(
            tenant=due.tenant,
            action="version.purged",
            subject=f"{due.model}@{due.version}",
            before=before,
            after=None,
            reason=_OVER,
            evidence=evidence,
        )
        await tell(session, told, at=now)
        return True
