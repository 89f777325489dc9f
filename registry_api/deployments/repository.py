# SPDX-License-Identifier: Apache-2.0
"""Deployments in the database. Every move is one guarded statement: it happens from the states the table allows, or not."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import ColumnElement, delete, select, update

from core.errors import ErrorCode
from registry_api.builds.values import Bento
from registry_api.db.session import Session
from registry_api.deployments.states import DeploymentEvent, DeploymentState, sources, target
from registry_api.deployments.tables import DeploymentRow
from registry_api.deployments.values import AuthMode, Deployment, NewDeployment, Place, TargetKind
from registry_api.http.pagination import Listing, PageRequest, listing
from registry_api.jobs.interface import Fault, Job
from registry_api.models.source import Source
from registry_api.webhooks.outbox import emit


class DeploymentRepository:
    """Reads and writes the deployments of one tenant inside one transaction."""

    def __init__(self, session: Session, tenant: str) -> None:
        self._session = session
        self._tenant = tenant

    async def add(
        self, deployment_id: str, new: NewDeployment, source: Source, bento: Bento, job: Job, *, now: datetime
    ) -> Deployment:
        """Writes a deployment that waits for its job. Its name must be free."""
        row = DeploymentRow(
            id=deployment_id,
            tenant=self._tenant,
            name=new.name,
            build_id=new.build_id,
            model=source.model,
            version=source.version,
            digest=bento.digest,
            target=new.target.value,
            auth=new.auth.value,
            state=DeploymentState.PENDING.value,
            job_id=job.id,
            created_at=now,
            updated_at=now,
        )
        self._session.add(row)
        await self._session.flush()
        return _to_deployment(row)

    async def get(self, name: str) -> Deployment | None:
        """The deployment of that name, or None."""
        return await self._one(DeploymentRow.name == name)

    async def by_id(self, deployment_id: str) -> Deployment | None:
        """The deployment of that id, or None: its name may have been deployed again since."""
        return await self._one(DeploymentRow.id == deployment_id)

    async def page(self, request: PageRequest) -> Listing[Deployment]:
        """Deployments, newest first."""
        query = select(DeploymentRow).where(DeploymentRow.tenant == self._tenant)
        if (after := request.position(int)) is not None:
            query = query.where(DeploymentRow.number < after[0])
        query = query.order_by(DeploymentRow.number.desc()).limit(request.limit + 1)
        rows = (await self._session.scalars(query)).all()
        return listing(rows, request, lambda row: (row.number,)).map(_to_deployment)

    async def remove(self, deployment_id: str) -> None:
        """Removes the row of a deployment that is over, to free its name."""
        await self._session.execute(
            delete(DeploymentRow).where(DeploymentRow.id == deployment_id, DeploymentRow.tenant == self._tenant)
        )

    async def begin(self, deployment_id: str, place: Place, *, now: datetime) -> bool:
        """A worker starts it; False if it may not be started (any more)."""
        values = {"host": place.host, "run": place.run, "url": None, "pid": None}
        return await self._move(deployment_id, DeploymentEvent.BEGIN, now, values)

    async def ready(self, deployment_id: str, place: Place, *, now: datetime) -> bool:
        """It answered a real inference; False if it is not being started (any more)."""
        values = {"host": place.host, "run": place.run, "url": place.url, "pid": place.pid}
        return await self._move(deployment_id, DeploymentEvent.READY, now, values)

    async def fail(self, deployment_id: str, fault: Fault, *, now: datetime, run: str | None = None) -> bool:
        """It cannot start, or is gone; False if its state forbids that or it is another start than ``run``."""
        values = {"error_code": fault.code.value, "error_message": fault.message, "url": None, "pid": None}
        return await self._move(deployment_id, DeploymentEvent.FAIL, now, values, run=run)

    async def stop(self, deployment_id: str, job: Job, *, now: datetime) -> bool:
        """Its end is now the work of ``job``; False if its state forbids that."""
        return await self._move(deployment_id, DeploymentEvent.STOP, now, {"job_id": job.id})

    async def end(self, deployment_id: str, *, now: datetime) -> bool:
        """Nothing of it runs any more; False if its state forbids that."""
        return await self._move(deployment_id, DeploymentEvent.END, now, {"url": None, "pid": None})

    async def _one(self, condition: ColumnElement[bool]) -> Deployment | None:
        query = select(DeploymentRow).where(DeploymentRow.tenant == self._tenant, condition)
        row = await self._session.scalar(query)
        return None if row is None else _to_deployment(row)

    async def _move(
        self,
        deployment_id: str,
        event: DeploymentEvent,
        now: datetime,
        values: Mapping[str, object],
        *,
        run: str | None = None,
    ) -> bool:
        columns = (DeploymentRow.name, DeploymentRow.model, DeploymentRow.version, DeploymentRow.state)
        one = (DeploymentRow.id == deployment_id, DeploymentRow.tenant == self._tenant)
        before = (await self._session.execute(select(*columns).where(*one))).one_or_none()
        statement = (
            update(DeploymentRow)
            .where(
                *one,
                DeploymentRow.state.in_([state.value for state in sources(event)]),
            )
            .values(state=target(event).value, updated_at=now, **values)
            .returning(DeploymentRow.number)
            .execution_options(synchronize_session=False)
        )
        if run is not None:
            statement = statement.where(DeploymentRow.run == run)
        if before is None or (await self._session.execute(statement)).one_or_none() is None:
            return False
        new = {"name": before.name, "model": before.model, "version": before.version, "state": target(event)}
        await emit(
            self._session,
            tenant=self._tenant,
            kind="deployment.changed",
            subject=f"deployment/{before.name}",
            old={**new, "state": before.state},
            new=new,
            actor="worker" if event is not DeploymentEvent.STOP else "registry",
            at=now,
        )
        return True


async def running_on(session: Session, host: str) -> list[Deployment]:
    """The running deployments of every tenant on one machine; for the watch of its worker only."""
    query = select(DeploymentRow).where(
        DeploymentRow.state == DeploymentState.RUNNING.value, DeploymentRow.host == host
    )
    return [_to_deployment(row) for row in await session.scalars(query)]


def _to_deployment(row: DeploymentRow) -> Deployment:
    place = None
    if row.host is not None and row.run is not None:
        place = Place(host=row.host, run=row.run, url=row.url, pid=row.pid)
    error = None
    if row.error_code is not None:
        error = Fault(code=ErrorCode(row.error_code), message=row.error_message or "")
    return Deployment(
        id=row.id,
        tenant=row.tenant,
        name=row.name,
        build_id=row.build_id,
        model=row.model,
        version=row.version,
        digest=row.digest,
        target=TargetKind(row.target),
        auth=AuthMode(row.auth),
        state=DeploymentState(row.state),
        place=place,
        job_id=row.job_id,
        error=error,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
