# SPDX-License-Identifier: Apache-2.0
"""The registry's clock is set back by an hour: nothing is lost, nothing waits for the hour to pass again."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from artifacts.signing.policy import Subject
from artifacts.signing.verifier import BundleVerifier
from core.clock import SystemClock
from registry_api.audit.service import AuditService
from registry_api.settings.registry import JobSettings
from registry_api.settings.storage import DatabaseSettings
from registry_api.settings.worker import TuningSettings, WorkerSettings
from registry_api.tenancy.authenticator import KeyAuthenticator
from registry_api.worker import assemble
from tests.integration.registry_api.bench import at_work, ended_job
from tests.integration.registry_api.rest import Api, open_api, tiny_onnx

HOUR = timedelta(hours=1)
FILES = {"model.onnx": tiny_onnx()}
QUICK = JobSettings(poll_seconds=0.05, heartbeat_seconds=0.1, lease_seconds=30)
OWN = WorkerSettings(tunings=TuningSettings(budget_seconds=1.0))

pytestmark = pytest.mark.fault("clock of the registry set back by an hour")


class SteppedClock(SystemClock):
    """The machine's clock; its wall time can be set back, as an operator or a time server does it."""

    def __init__(self) -> None:
        self._back = timedelta()

    def set_back(self, by: timedelta) -> None:
        self._back += by

    def now(self) -> datetime:
        return super().now() - self._back


@pytest.fixture
def clock() -> SteppedClock:
    return SteppedClock()


@pytest.fixture
async def stepped(tmp_path: Path, clock: SteppedClock, database: DatabaseSettings) -> AsyncIterator[Api]:
    """A registry on that clock, with one model in production."""
    async with open_api(tmp_path / "home", clock=clock, database=database, jobs=QUICK) as api:
        await api.ok("POST", "/models", json={"name": "digits"})
        await api.push("digits", FILES)
        await promoted(api, 1)
        yield api


async def promoted(api: Api, version: int) -> None:
    for stage in ("STAGING", "PRODUCTION"):
        await api.ok("PUT", f"/models/digits/versions/{version}/stage", json={"stage": stage, "reason": "test"})


async def test_versions_stages_and_history_stay_in_order(
    stepped: Api, clock: SteppedClock, record_property: Callable[[str, object], None]
) -> None:
    """Numbers go on, one version is in production, history is told in the order it happened, and its chain holds."""
    clock.set_back(HOUR)
    second = await stepped.push("digits", FILES)
    await promoted(stepped, 2)
    assert await stepped.versions("digits") == [2, 1]
    model = await stepped.ok("GET", "/models/digits")
    assert (model["latest_version"], model["production_version"]) == (2, 2)
    assert (await stepped.ok("GET", "/models/digits/resolve"))["version"] == 2
    moves = [(move["version"], move["to"]) for move in (await stepped.ok("GET", "/models/digits/history"))["items"]]
    assert moves[:3] in (
        [(2, "PRODUCTION"), (1, "STAGING"), (2, "STAGING")],
        [(1, "STAGING"), (2, "PRODUCTION"), (2, "STAGING")],
    )
    assert (await stepped.services.get(AuditService).verify("default")).findings == ()
    manifest, signature = [
        (await stepped.http.get(f"/api/v1/models/digits/versions/2/{part}")).content
        for part in ("manifest", "signature")
    ]
    policy = stepped.platform.keys.policy("default")
    subject = Subject(tenant="default", model="digits", version=2)
    verified = BundleVerifier(policy, SystemClock()).verify_manifest(manifest, signature, subject=subject)
    assert verified.digest == second["digest"]
    record_property("hours", 1)


async def test_keys_stay_valid_and_revoked_keys_stay_revoked(stepped: Api, clock: SteppedClock) -> None:
    """A key made before the step works after it; one that was revoked before it does not come back."""
    kept = await stepped.key("viewer")
    ended = await stepped.ok("POST", "/keys", json={"name": "ended", "roles": ["viewer"]})
    await stepped.ok("DELETE", f"/keys/{ended['id']}")
    clock.set_back(HOUR)
    fresh = KeyAuthenticator(stepped.platform.db, clock, cache_seconds=0)
    assert (await fresh.authenticate(kept)).tenant == "default"
    for key, status in ((kept, 200), (ended["key"], 401)):
        assert (await stepped.http.get("/api/v1/whoami", headers={"X-API-Key": key})).status_code == status


async def test_jobs_run_at_once_whether_asked_for_before_or_after(stepped: Api, clock: SteppedClock) -> None:
    """One was queued in what is now the future; it does not wait for its hour."""
    before = await stepped.ok("POST", "/tunings", json={"model": "digits"})
    clock.set_back(HOUR)
    after = await stepped.ok("POST", "/tunings", json={"model": "digits"})
    async with at_work(assemble(stepped.platform, OWN).worker), asyncio.timeout(60):
        ended = [await ended_job(stepped.ok, asked["job_id"]) for asked in (before, after)]
    assert [job["state"] for job in ended] == ["succeeded", "succeeded"]
