# SPDX-License-Identifier: Apache-2.0
"""Machines in the database. They are no tenant's, so this is for work of the platform only."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select

from registry_api.db.inserting import insert_into
from registry_api.db.session import Session
from registry_api.deployments.tables import InstanceRow, MachineRow


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
        insert = insert_into(self._session, MachineRow).values(host=machine.host, **values)
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
