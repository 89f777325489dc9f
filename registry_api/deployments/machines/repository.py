# SPDX-License-Identifier: Apache-2.0
"""Machines in the database. They are no tenant's, so this is for work of the platform only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert

from registry_api.db.session import Session
from registry_api.deployments.tables import InstanceRow, MachineRow

_INSERTS: Final[Mapping[str, Any]] = {"sqlite": sqlite_insert, "postgresql": postgresql_insert}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A machine as its workers last wrote it."""

    host: str
    beat: str  # another one each time
    seen_at: datetime  # by its own clock; for people


class MachineRepository:
    """Reads and writes machines inside one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session

    async def beat(self, machine: Machine) -> None:
        """Writes that a machine is there."""
        values = {"beat": machine.beat, "seen_at": machine.seen_at}
        insert = _INSERTS[self._session.get_bind().dialect.name](MachineRow).values(host=machine.host, **values)
        await self._session.execute(insert.on_conflict_do_update(index_elements=[MachineRow.host], set_=values))

    async def all(self) -> dict[str, Machine]:
        """Every machine that a worker wrote of, by host."""
        rows = await self._session.scalars(select(MachineRow))
        return {row.host: Machine(host=row.host, beat=row.beat, seen_at=row.seen_at) for row in rows}

    async def forget(self, machine: Machine) -> None:
        """Removes a machine that has not beaten since, if nothing is known to run there."""
        used = select(InstanceRow.number).where(InstanceRow.host == machine.host).exists()
        gone = delete(MachineRow).where(MachineRow.host == machine.host, MachineRow.beat == machine.beat, ~used)
        await self._session.execute(gone.execution_options(synchronize_session=False))
