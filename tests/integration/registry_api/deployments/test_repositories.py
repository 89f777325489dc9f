# SPDX-License-Identifier: Apache-2.0
"""What is kept of a deployment, statement by statement, on SQLite and on PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, text

from core.errors import ErrorCode
from registry_api.db.session import EVERY_TENANT
from registry_api.deployments import repository
from registry_api.deployments.history import repository as history_repository
from registry_api.deployments.history.repository import HistoryRepository
from registry_api.deployments.history.values import HappeningKind, Revision
from registry_api.deployments.instances.repository import InstanceRepository, unknown
from registry_api.deployments.repository import DeploymentRepository, not_gone, not_over
from registry_api.deployments.states import DeploymentState
from registry_api.deployments.tables import DeploymentRow
from registry_api.deployments.values import Deployment, Instance, InstanceState
from registry_api.http.pagination import PageRequest
from registry_api.jobs.interface import Fault
from registry_api.jobs.repository import JobRepository
from registry_api.settings.storage import DatabaseSettings
from tests.integration.registry_api.deletion.furnishing import end
from tests.integration.registry_api.rest import Api, open_api, tiny_onnx

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TENANT = "default"
FAULT = Fault(code=ErrorCode.JOB_FAILED, message="It did not answer.")


@pytest.fixture
async def api(tmp_path: Path, database: DatabaseSettings) -> AsyncIterator[Api]:
    """With a build that succeeded and a deployment ``shop`` of it that nobody has begun."""
    async with open_api(tmp_path / "home", database=database) as api:
        await api.ok("POST", "/models", json={"name": "digits"})
        await api.push("digits", {"model.onnx": tiny_onnx()})
        build = await api.ok("POST", "/builds", json={"model": "digits"})
        await end(api, build)
        await api.ok("POST", "/deployments", json={"name": "shop", "build_id": build["id"], "replicas": 2})
        yield api


def starting(run: str, revision: int = 1) -> Instance:
    return Instance(run=run, revision=revision, host="here", state=InstanceState.STARTING)


async def shop(api: Api) -> Deployment:
    async with api.platform.db.read(TENANT) as session:
        found = await DeploymentRepository(session, TENANT).get("shop")
    assert found is not None
    return found


async def answers(api: Api, deployment: Deployment, run: str, *, revision: int = 1) -> None:
    """An instance that was started and answered at ``http://RUN``."""
    async with api.platform.db.write(TENANT) as session:
        instances = InstanceRepository(session, TENANT)
        assert await instances.add(deployment.id, starting(run, revision), now=NOW)
        assert await instances.ready(deployment.id, run, url=f"http://{run}", pid=7)


STOPPED = text(
    "INSERT INTO deployments (id, tenant, name, build_id, revision, state, job_id, model, version, digest, target, auth, "
    "created_at, updated_at) "
    "SELECT 'old' || n, tenant, 'old' || n, build_id, revision, 'stopped', job_id, model, version, digest, target, auth, "
    "created_at, updated_at FROM deployments, (WITH RECURSIVE counted(n) AS "
    "(SELECT 1 UNION ALL SELECT n + 1 FROM counted WHERE n < 5000) SELECT n FROM counted) AS counted WHERE name = 'shop'"
)


async def test_a_look_reads_no_deployment_that_is_over_and_gone(api: Api) -> None:
    """What a watch reads every few seconds is found by indexes, however many deployments were stopped."""
    await answers(api, await shop(api), "a")
    async with api.platform.db.write(TENANT) as session:
        await session.execute(STOPPED)
        await session.execute(text("ANALYZE"))
    async with api.platform.db.read(EVERY_TENANT) as session:
        dialect = (await session.connection()).dialect
        wanted = select(DeploymentRow.number).where(repository._NOT_GONE)
        query = str(wanted.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))
        explain = "EXPLAIN QUERY PLAN" if dialect.name == "sqlite" else "EXPLAIN"
        plan = "\n".join(row[-1] for row in await session.execute(text(f"{explain} {query}")))
        assert [each.name for each, _idle in await not_gone(session)] == ["shop"]
    assert "ix_deployments_state_host" in plan
    assert "SCAN deployments\n" not in f"{plan}\n"  # SQLite's words
    assert "Seq Scan on deployments" not in plan  # PostgreSQL's


async def test_instances_come_answer_and_go(api: Api) -> None:
    """Rows are written once, show what answers, and say whether an end was known already."""
    deployment = await shop(api)
    for run in ("a", "b"):
        await answers(api, deployment, run)
    found = await shop(api)
    assert [(each.run, each.url, each.state) for each in found.ready] == [
        ("a", "http://a", InstanceState.READY),
        ("b", "http://b", InstanceState.READY),
    ]
    assert (found.run, found.settled) == ("a", True)
    async with api.platform.db.write(TENANT) as session:
        instances = InstanceRepository(session, TENANT)
        await instances.ending(deployment.id, ["a"])
        assert not await instances.forget(deployment.id, "a", state=InstanceState.READY)
        assert not await instances.ready(deployment.id, "a", url="http://a", pid=7)
    assert [each.run for each in (await shop(api)).ready] == ["b"]
    async with api.platform.db.write(TENANT) as session:
        instances = InstanceRepository(session, TENANT)
        assert await instances.forget(deployment.id, "a")
        assert not await instances.forget(deployment.id, "a")
    assert (await shop(api)).run == "b"
    async with api.platform.db.read(EVERY_TENANT) as session:
        assert await unknown(session, ["a", "b", "c"]) == {"a", "c"}
        ((seen, idle),) = await not_over(session)
    assert (seen, idle) == (await shop(api), False)


async def test_nothing_is_started_of_what_is_to_stop(api: Api) -> None:
    """Once somebody asked for the end, no instance may begin."""
    deployment = await shop(api)
    await api.ok("POST", "/deployments/shop/stop")
    async with api.platform.db.write(TENANT) as session:
        assert not await InstanceRepository(session, TENANT).add(deployment.id, starting("a"), now=NOW)
    assert (await shop(api)).instances == ()


async def test_a_deployment_lives_dies_and_is_revived(api: Api) -> None:
    """Ready, lost, failed, wanted again: state, serving revision and error follow, and only its own job may speak for it."""
    first = await shop(api)
    async with api.platform.db.write(TENANT) as session:
        deployments, jobs = DeploymentRepository(session, TENANT), JobRepository(session)
        mine = await jobs.get(TENANT, first.job_id)
        assert mine is not None
        other = replace(mine, id="0" * 32)
        await deployments.begin(first.id, now=NOW)
        assert not await deployments.ready(first, 1, job=other, now=NOW)
        assert await deployments.ready(first, 1, job=mine, now=NOW)
        await deployments.blame(first.id, FAULT, now=NOW)
    running = await shop(api)
    assert (running.state, running.serving_revision, running.error) == (DeploymentState.RUNNING, 1, FAULT)
    async with api.platform.db.write(TENANT) as session:
        deployments = DeploymentRepository(session, TENANT)
        assert await deployments.lose(first.id, now=NOW)
        assert await deployments.fail(first.id, FAULT, now=NOW)
    failed = await shop(api)
    assert (failed.state, failed.serving_revision) == (DeploymentState.FAILED, None)
    await api.ok("PATCH", "/deployments/shop", json={"auth": "open"})
    revived = await shop(api)
    assert (revived.state, revived.revision, revived.error) == (DeploymentState.PENDING, 2, None)
    async with api.platform.db.write(TENANT) as session:
        assert not await DeploymentRepository(session, TENANT).assign(failed, other)


async def test_history_keeps_the_newest(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Revisions and happenings beyond the kept number go, the oldest first; those of other kinds and times are told apart."""
    monkeypatch.setattr(history_repository, "KEPT_HAPPENINGS", 4)
    monkeypatch.setattr(history_repository, "KEPT_REVISIONS", 3)
    deployment = await shop(api)
    async with api.platform.db.write(TENANT) as session:
        history = HistoryRepository(session, TENANT)
        for number in range(2, 7):
            at = NOW + timedelta(seconds=number)
            await history.revise(deployment.id, _revision(deployment, number, at))
            await history.tell(deployment.id, HappeningKind.RESTARTED, f"number {number}", at=at)
    async with api.platform.db.read(TENANT) as session:
        history = HistoryRepository(session, TENANT)
        revisions = await history.revisions(deployment.id, PageRequest(limit=2))
        happenings = await history.happenings(deployment.id, PageRequest())
        times = await history.times(deployment.id, HappeningKind.RESTARTED, since=NOW + timedelta(seconds=4))
        assert await history.revision(deployment.id, 3) is None
        assert await history.last(deployment.id, HappeningKind.RESTARTED, HappeningKind.LOST) == "number 6"
        assert await history.last(deployment.id, HappeningKind.LOST) == ""
    assert [each.number for each in revisions.items] == [6, 5]
    assert revisions.next_cursor is not None
    assert [each.message for each in happenings.items] == [f"number {number}" for number in (6, 5, 4, 3)]
    assert times == (NOW + timedelta(seconds=5), NOW + timedelta(seconds=6))


async def test_what_belongs_to_a_deployment_goes_with_it(api: Api) -> None:
    """Removing the row of a deployment removes its revisions, instances and happenings."""
    deployment = await shop(api)
    await answers(api, deployment, "a")
    async with api.platform.db.write(TENANT) as session:
        await DeploymentRepository(session, TENANT).remove(deployment.id)
    async with api.platform.db.read(TENANT) as session:
        assert await InstanceRepository(session, TENANT).of([deployment.id]) == {}
        assert await HistoryRepository(session, TENANT).revision(deployment.id, 1) is None
        assert (await HistoryRepository(session, TENANT).happenings(deployment.id, PageRequest())).items == ()


async def test_a_version_that_still_serves_is_not_deleted(api: Api) -> None:
    """While another version is wanted, the one that serves is in use as well as the wanted one."""
    await api.push("digits", {"model.onnx": tiny_onnx(1)})
    build = await api.ok("POST", "/builds", json={"model": "digits", "version": 2})
    await end(api, build)
    deployment = await shop(api)
    async with api.platform.db.write(TENANT) as session:
        await DeploymentRepository(session, TENANT).serves(deployment.id, 1)
    await api.ok("PATCH", "/deployments/shop", json={"build_id": build["id"]})
    for version in (1, 2):
        refused = await api.http.delete(f"/api/v1/models/digits/versions/{version}", params={"reason": "test"})
        assert _users(refused.json()) == ["shop"]


def _users(problem: dict[str, Any]) -> list[str]:
    uses = problem["error"]["details"]["uses"]
    return [each["name"] for each in uses if each["use"] == "deployment"]


def _revision(deployment: Deployment, number: int, at: datetime) -> Revision:
    return Revision(number=number, template=deployment.template, reason="", created_by="k", created_at=at)
