# SPDX-License-Identifier: Apache-2.0
"""When keys were last used, written down beside the requests: in batches, and at most once a minute per key.

A use is noted in memory, which costs a request one look-up. What was noted and not yet written when a process is killed is
lost; so is a use within a minute after one that was written.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Final

from core.clock import Clock
from core.errors import TransientError
from core.telemetry.logs import get_logger
from registry_api.db.session import EVERY_TENANT, Database
from registry_api.tenancy.repository import write_uses

EVERY_SECONDS: Final = 60.0  # at most one write per key in this time
_WRITE_SECONDS: Final = 5.0

_log = get_logger(__name__)


class KeyUses:
    """The last uses of keys.

    Args:
        db: Where they are written.
        clock: For when a key was used.
    """

    def __init__(self, db: Database, clock: Clock) -> None:
        self._db = db
        self._clock = clock
        self._noted: dict[str, float] = {}  # monotonic seconds, of the last use that was or will be written
        self._due: dict[str, datetime] = {}

    def note(self, key_id: str) -> None:
        """A key was used now."""
        now = self._clock.monotonic()
        noted = self._noted.get(key_id)
        if noted is None or now - noted >= EVERY_SECONDS:
            self._noted[key_id] = now
            self._due[key_id] = self._clock.now()

    async def write(self) -> None:
        """Writes what is due.

        Raises:
            Unavailable: ``STORE_001`` if the database is out of reach; what is due is tried again next time.
        """
        oldest = self._clock.monotonic() - EVERY_SECONDS
        self._noted = {key_id: at for key_id, at in self._noted.items() if at > oldest}
        due, self._due = self._due, {}
        if not due:
            return
        try:
            async with self._db.write(EVERY_TENANT) as session:
                await write_uses(session, due)
        except TransientError:
            self._due = due | self._due
            raise

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[None]:
        """Writes every few seconds while the context is open, and once more at its end."""
        task = asyncio.create_task(self._keep_writing())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            with suppress(TransientError):
                await self.write()

    async def _keep_writing(self) -> None:
        while True:
            await asyncio.sleep(_WRITE_SECONDS)
            try:
                await self.write()
            except TransientError as error:
                _log.warning("key_uses_not_written", code=error.code, **error.log_context)
