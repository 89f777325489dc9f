# SPDX-License-Identifier: Apache-2.0
"""Deployments in the database. Every move is one guarded statement: it happens from the states the table allows, or not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, delete, select, update

from core.errors import ErrorCode
from registry_api.db.session import EVERY_TENANT, Session
from registry_api.deployments.history.repository import template_columns, template_value
from registry_api.deployments.instances.repository import InstanceRepository
from registry_api.deployments.states import DeploymentEvent, DeploymentState, sources, target
from registry_api.deployments.tables import DeploymentRow, InstanceRow
from registry_api.deployments.values import Deployment, Instance, Template
from registry_api.http.pagination import Listing, PageRequest, listing
from registry_api.jobs.interface import Fault, Job
from registry_api.jobs.states import JobState
from registry_api.jobs.tables import JobRow
from registry_api.webhooks.outbox import emit

_NOT_OVER = DeploymentRow.state.in_([state.value for state in DeploymentState if not state.over])
_LEFT = select(DeploymentRow.number).where(DeploymentRow.id.in_(select(InstanceRow.deployment_id)))
# One OR would use no index.
_NOT_GONE = DeploymentRow.number.in_(select(DeploymentRow.number).where(_NOT_OVER).union(_LEFT))
_NO_ERROR: Mapping[str, object] = {"error_code": None, "error_message": None}


class DeploymentRepository:
    """Reads and writes the deployments of one tenant inside one transaction."""

    def __init__(self, session: Session, tenant: str) -> None:
        self._session = session
        self._tenant = tenant
        self._instances = InstanceRepository(session, tenant)

    async def add(
        self, deployment_id: str, name: str, template: Template, job: Job, *, replicas: int, now: datetime
    ) -> Deployment:
        """Writes a deployment that waits for its job. Its name must be free."""
        row = DeploymentRow(
            id=deployment_id,
            tenant=self._tenant,
            name=name,
            replicas=replicas,
            revision=1,
            state=DeploymentState.PENDING.value,
            job_id=job.id,
            created_at=now,
            updated_at=now,
            **template_columns(template),
        )
        self._session.add(row)
        await self._session.flush()
        return _to_deployment(row, ())

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
        instances = await self._instances.of([row.id for row in rows])
        return listing(rows, request, lambda row: (row.number,)).map(
            lambda row: _to_deployment(row, instances.get(row.id, ()))
        )

    async def remove(self, deployment_id: str) -> None:
        """Removes the row of a deployment that is over, to free its name."""
        await self._session.execute(
            delete(DeploymentRow).where(DeploymentRow.id == deployment_id, DeploymentRow.tenant == self._tenant)
        )

    async def want(
        self, before: Deployment, template: Template, job: Job, *, revision: int, replicas: int, now: datetime
    ) -> bool:
        """Something else is wanted from now on; False if ``before`` is not what there is any more."""
        values = {**template_columns(template), **_NO_ERROR, "revision": revision, "replicas": replicas}
        if before.state is DeploymentState.FAILED:
            await self._move(before.id, DeploymentEvent.REVIVE, now, {})
        return await self.assign(before, job, values={**values, "updated_at": now})

    async def assign(self, before: Deployment, job: Job, *, values: Mapping[str, Any] | None = None) -> bool:
        """``job`` works for it from now on; False if another job does meanwhile."""
        statement = (
            update(DeploymentRow)
            .where(*self._id(before.id), DeploymentRow.job_id == before.job_id)
            .values(job_id=job.id, **(values or {}))
            .returning(DeploymentRow.number)
            .execution_options(synchronize_session=False)
        )
        return (await self._session.execute(statement)).one_or_none() is not None

    async def begin(self, deployment_id: str, *, now: datetime) -> None:
        """A worker starts it, unless it runs already."""
        await self._move(deployment_id, DeploymentEvent.BEGIN, now, {})

    async def ready(
        self, deployment: Deployment, revision: int, *, job: Job, now: datetime, address: str | None = None
    ) -> bool:
        """Everything wanted of ``revision`` answers; False if the deployment is no longer the work of ``job``.

        Args:
            deployment: Whose revision it is.
            revision: What answers.
            job: Who says so.
            now: The time.
            address: Where a cluster answers; its objects then carry the job's id as that of their start. None: instances
                answer.
        """
        errors = _NO_ERROR if revision == deployment.revision else {}
        shown = {} if address is None else {"url": address, "run": job.id}
        values = {"serving_revision": revision, **errors, **shown}
        return await self._move(deployment.id, DeploymentEvent.READY, now, values, job_id=job.id)

    async def regain(self, deployment: Deployment, *, now: datetime) -> bool:
        """What a cluster is to serve answers again, or at last; False if another job works for the deployment now."""
        errors = _NO_ERROR if deployment.goal == deployment.revision else {}
        return await self._move(deployment.id, DeploymentEvent.READY, now, errors, job_id=deployment.job_id)

    async def serves(self, deployment_id: str, revision: int) -> None:
        """What serves is of ``revision`` too: its template is the same."""
        statement = update(DeploymentRow).where(*self._id(deployment_id)).values(serving_revision=revision)
        await self._session.execute(statement.execution_options(synchronize_session=False))

    async def lose(self, deployment_id: str, *, now: datetime) -> bool:
        """Nothing of it answers any more."""
        return await self._move(deployment_id, DeploymentEvent.LOSE, now, {})

    async def blame(self, deployment_id: str, fault: Fault, *, now: datetime) -> None:
        """Something is not as wanted; what runs goes on."""
        statement = update(DeploymentRow).where(*self._id(deployment_id)).values(**_error(fault), updated_at=now)
        await self._session.execute(statement.execution_options(synchronize_session=False))

    async def fail(self, deployment_id: str, fault: Fault, *, now: datetime) -> bool:
        """It cannot start, or ends again and again; False if its state forbids that."""
        values = {**_error(fault), "serving_revision": None, "url": None, "pid": None}
        return await self._move(deployment_id, DeploymentEvent.FAIL, now, values)

    async def stop(self, deployment_id: str, job: Job, *, now: datetime) -> bool:
        """Its end is now the work of ``job``; False if its state forbids that."""
        return await self._move(deployment_id, DeploymentEvent.STOP, now, {"job_id": job.id})

    async def end(self, deployment_id: str, *, now: datetime) -> bool:
        """Nothing of it runs any more; False if its state forbids that."""
        return await self._move(deployment_id, DeploymentEvent.END, now, {"url": None, "pid": None})

    async def _one(self, condition: ColumnElement[bool]) -> Deployment | None:
        query = select(DeploymentRow).where(DeploymentRow.tenant == self._tenant, condition)
        row = await self._session.scalar(query.execution_options(populate_existing=True))
        if row is None:
            return None
        return _to_deployment(row, (await self._instances.of([row.id])).get(row.id, ()))

    def _id(self, deployment_id: str) -> tuple[ColumnElement[bool], ...]:
        return DeploymentRow.id == deployment_id, DeploymentRow.tenant == self._tenant

    async def _move(
        self,
        deployment_id: str,
        event: DeploymentEvent,
        now: datetime,
        values: Mapping[str, object],
        *,
        job_id: str | None = None,
    ) -> bool:
        columns = (DeploymentRow.name, DeploymentRow.model, DeploymentRow.version, DeploymentRow.state)
        before = (await self._session.execute(select(*columns).where(*self._id(deployment_id)))).one_or_none()
        statement = (
            update(DeploymentRow)
            .where(*self._id(deployment_id), DeploymentRow.state.in_([state.value for state in sources(event)]))
            .values(state=target(event).value, updated_at=now, **values)
            .returning(DeploymentRow.number)
            .execution_options(synchronize_session=False)
        )
        if job_id is not None:
            statement = statement.where(DeploymentRow.job_id == job_id)
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


async def not_over(session: Session) -> list[tuple[Deployment, bool]]:
    """The deployments of every tenant that are not over, each with whether its job has ended; for watches only."""
    return await _with_jobs(session, _NOT_OVER)


async def not_gone(session: Session) -> list[tuple[Deployment, bool]]:
    """As :func:`not_over`, and those that are over while instances of them are still to be ended."""
    return await _with_jobs(session, _NOT_GONE)


async def _with_jobs(session: Session, condition: ColumnElement[bool]) -> list[tuple[Deployment, bool]]:
    query = (
        select(DeploymentRow, JobRow.state)
        .join(JobRow, JobRow.id == DeploymentRow.job_id)
        .where(condition)
        .order_by(DeploymentRow.number)
    )
    found = [(row, JobState(state).final) for row, state in await session.execute(query)]
    instances = await InstanceRepository(session, EVERY_TENANT).of([row.id for row, _final in found])
    return [(_to_deployment(row, instances.get(row.id, ())), final) for row, final in found]


def _error(fault: Fault) -> Mapping[str, object]:
    return {"error_code": fault.code.value, "error_message": fault.message}


def _to_deployment(row: DeploymentRow, instances: Sequence[Instance]) -> Deployment:
    code, message = row.error_code, row.error_message or ""
    return Deployment(
        id=row.id,
        tenant=row.tenant,
        name=row.name,
        template=template_value(row, row.build_id),
        replicas=row.replicas,
        revision=row.revision,
        serving_revision=row.serving_revision,
        state=DeploymentState(row.state),
        instances=tuple(instances),
        run=row.run,
        address=row.url,
        job_id=row.job_id,
        error=None if code is None else Fault(code=ErrorCode(code), message=message),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
