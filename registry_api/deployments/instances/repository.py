# SPDX-License-Identifier: Apache-2.0
"""Instances in the database.

Rules. A row is written before its instance is started and removed after it has ended: what runs without a row is nobody's.
The deployment's own row shows the instance that answers first, kept in step by every write here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, select, update

from registry_api.db.session import EVERY_TENANT, Session
from registry_api.deployments.states import DeploymentState
from registry_api.deployments.tables import DeploymentRow, InstanceRow
from registry_api.deployments.values import NO_REVISION, Instance, InstanceState

_LIVE = tuple(state.value for state in (DeploymentState.PENDING, DeploymentState.STARTING, DeploymentState.RUNNING))


class InstanceRepository:
    """Reads and writes the instances of one tenant's deployments, inside one transaction."""

    def __init__(self, session: Session, tenant: str) -> None:
        self._session = session
        self._tenant = tenant

    async def of(self, deployment_ids: Sequence[str]) -> dict[str, tuple[Instance, ...]]:
        """The instances of each deployment that has any, oldest first."""
        query = select(InstanceRow).where(InstanceRow.deployment_id.in_(deployment_ids)).order_by(InstanceRow.number)
        if self._tenant != EVERY_TENANT:
            query = query.where(InstanceRow.tenant == self._tenant)
        found: dict[str, tuple[Instance, ...]] = {}
        for row in await self._session.scalars(query):
            found[row.deployment_id] = (*found.get(row.deployment_id, ()), _to_instance(row))
        return found

    async def add(self, deployment_id: str, instance: Instance, *, now: datetime) -> bool:
        """Writes an instance that is about to be started; False if the deployment is to be started no (more)."""
        guard = update(DeploymentRow).where(*self._own(deployment_id), DeploymentRow.state.in_(_LIVE))
        shown = guard.values(run=instance.run, host=instance.host).returning(DeploymentRow.number)
        if (await self._execute(shown)).one_or_none() is None:
            return False
        row = InstanceRow(
            run=instance.run,
            tenant=self._tenant,
            deployment_id=deployment_id,
            revision=instance.revision,
            host=instance.host,
            state=instance.state.value,
            created_at=now,
        )
        self._session.add(row)
        await self._session.flush()
        return True

    async def ready(self, deployment_id: str, run: str, *, url: str, pid: int) -> bool:
        """The instance answered a real inference; False if it is not to run any more."""
        values = {"state": InstanceState.READY.value, "url": url, "pid": pid}
        return await self._move(deployment_id, run, InstanceState.STARTING, values)

    async def ending(self, deployment_id: str, runs: Sequence[str]) -> None:
        """Instances are not wanted any more: a worker of their machine ends them."""
        await self._execute(
            update(InstanceRow)
            .where(InstanceRow.deployment_id == deployment_id, InstanceRow.tenant == self._tenant)
            .where(InstanceRow.run.in_(runs))
            .values(state=InstanceState.ENDING.value)
        )
        await self.show(deployment_id)

    async def forget(self, deployment_id: str, run: str, *, state: InstanceState | None = None) -> bool:
        """Nothing of an instance exists any more; False if that was known, or it was not in that state."""
        gone = delete(InstanceRow).where(InstanceRow.run == run, InstanceRow.tenant == self._tenant)
        if state is not None:
            gone = gone.where(InstanceRow.state == state.value)
        known = (await self._execute(gone.returning(InstanceRow.number))).one_or_none() is not None
        await self.show(deployment_id)
        return known

    async def adopt(self, deployment_id: str, runs: Sequence[str], revision: int) -> None:
        """Instances are what ``revision`` wants, made for an earlier one of the same template."""
        await self._set(deployment_id, runs, revision=revision)

    async def disown(self, deployment_id: str, instance: Instance) -> bool:
        """An instance is no longer what its revision says; False if somebody found that already."""
        values = {"revision": NO_REVISION}
        seen = InstanceRow.revision == instance.revision
        return await self._move(deployment_id, instance.run, InstanceState.READY, values, seen)

    async def rehost(self, deployment_id: str, runs: Sequence[str], host: str) -> None:
        """Instances run on ``host``, as is seen there; their machine has another name than before."""
        await self._set(deployment_id, runs, host=host)

    async def _set(self, deployment_id: str, runs: Sequence[str], **values: str | int) -> None:
        await self._execute(
            update(InstanceRow)
            .where(InstanceRow.deployment_id == deployment_id, InstanceRow.tenant == self._tenant)
            .where(InstanceRow.run.in_(runs))
            .values(**values)
        )
        await self.show(deployment_id)

    async def _move(
        self,
        deployment_id: str,
        run: str,
        before: InstanceState,
        values: dict[str, Any],
        *conditions: ColumnElement[bool],
    ) -> bool:
        moved = (
            update(InstanceRow)
            .where(InstanceRow.run == run, InstanceRow.tenant == self._tenant, InstanceRow.state == before.value)
            .where(*conditions)
            .values(**values)
            .returning(InstanceRow.number)
        )
        found = (await self._execute(moved)).one_or_none() is not None
        await self.show(deployment_id)
        return found

    async def show(self, deployment_id: str) -> None:
        """Writes into the deployment's row where it answers first."""
        serving = select(DeploymentRow.serving_revision).where(*self._own(deployment_id)).scalar_subquery()
        query = (
            select(InstanceRow)
            .where(InstanceRow.deployment_id == deployment_id, InstanceRow.tenant == self._tenant)
            .where(InstanceRow.state == InstanceState.READY.value)
            .order_by(InstanceRow.revision != serving, InstanceRow.number)
            .limit(1)
        )
        first = await self._session.scalar(query.execution_options(populate_existing=True))
        values: dict[str, Any] = {"url": None, "pid": None}
        if first is not None:
            values = {"url": first.url, "pid": first.pid, "run": first.run, "host": first.host}
        await self._execute(update(DeploymentRow).where(*self._own(deployment_id)).values(**values))

    def _own(self, deployment_id: str) -> tuple[Any, ...]:
        return DeploymentRow.id == deployment_id, DeploymentRow.tenant == self._tenant

    async def _execute(self, statement: Any) -> Any:
        return await self._session.execute(statement.execution_options(synchronize_session=False))


def _to_instance(row: InstanceRow) -> Instance:
    return Instance(
        run=row.run,
        revision=row.revision,
        host=row.host,
        url=row.url,
        pid=row.pid,
        state=InstanceState(row.state),
    )


async def unknown(session: Session, runs: Sequence[str]) -> frozenset[str]:
    """Which of these runs no row of any tenant names; for the watch only."""
    known = await session.scalars(select(InstanceRow.run).where(InstanceRow.run.in_(runs)))
    return frozenset(runs) - frozenset(known)


async def removed(session: Session, deployment_ids: Collection[str]) -> frozenset[str]:
    """Which of these deployments no row of any tenant is of; for the watch only."""
    known = await session.scalars(select(DeploymentRow.id).where(DeploymentRow.id.in_(deployment_ids)))
    return frozenset(deployment_ids) - frozenset(known)
