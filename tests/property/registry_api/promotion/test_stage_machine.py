# SPDX-License-Identifier: Apache-2.0
"""Laws of stages and history, over any order of moves and rollbacks on a real database.

1. At most one version is in PRODUCTION.
2. Where a version stands is where its last entry in the history left it.
3. The chain has no gap and verifies; what was in production at the moment of its last entry is in production now.
4. A rollback returns to what was promoted before and not rolled back since: the model below is a stack.
"""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from artifacts.keys.file import FileKeyProvider
from artifacts.stores.objects import ObjectBlobStore
from core.clock import ManualClock
from core.errors import Conflict
from registry_api.audit.service import AuditService
from registry_api.audit.verifying import Verdict
from registry_api.db import migrations
from registry_api.db.engine import create_engine
from registry_api.db.session import EVERY_TENANT, Database
from registry_api.http.access import Role
from registry_api.http.auth import Principal
from registry_api.http.pagination import PageRequest
from registry_api.models.repository import ModelRepository, VersionRepository
from registry_api.models.values import Model, Stage, Variant, Version
from registry_api.promotion.gatekeeper import Gatekeeper
from registry_api.promotion.gathering import Gatherer
from registry_api.promotion.policy import TRANSITIONS
from registry_api.promotion.service import PromotionService
from registry_api.tenancy.repository import TenantRepository
from registry_api.tenancy.values import Tenant
from registry_api.tunings.measurements import TuningMeasurements

VERSIONS = 3
ANN = Principal(tenant="acme", key_id="k1", name="ann", roles=frozenset({Role.MODEL_ADMIN}))


class StageMachine(RuleBasedStateMachine):
    """Moves three versions of one model about."""

    @initialize()
    def open(self) -> None:
        self.home = Path(tempfile.mkdtemp(prefix="furo-stages-"))
        self.loop = asyncio.new_event_loop()
        self.clock = ManualClock()
        self.stages = dict.fromkeys(range(1, VERSIONS + 1), Stage.DEVELOPMENT)
        self.promoted: list[int] = []
        self.run(self._open())

    async def _open(self) -> None:
        url = f"sqlite+aiosqlite:///{self.home / 'registry.db'}"
        await migrations.upgrade(url)
        self.db = Database(create_engine(url))
        keys = FileKeyProvider(self.home / "keys")
        gatherer = Gatherer(ObjectBlobStore.memory(), keys, self.clock, TuningMeasurements())
        self.service = PromotionService(self.db, self.clock, _Trusting(self.db, gatherer, {}))
        self.audit = AuditService(self.db, keys, self.clock)
        now = self.clock.now()
        async with self.db.write(EVERY_TENANT) as session:
            await TenantRepository(session).add(Tenant(name="acme", display_name="Acme", created_at=now))
        async with self.db.write("acme") as session:
            await ModelRepository(session, "acme").add(_model(now))
            for number in self.stages:
                await VersionRepository(session, "acme").add(_version(number, now), created_by_key="k0")

    def run(self, work: Any) -> Any:
        """Does it now."""
        return self.loop.run_until_complete(work)

    @rule(version=st.integers(1, VERSIONS), after=st.sampled_from(Stage))
    def move(self, version: int, after: Stage) -> None:
        """A move happens if and only if the table has it; promotion sends the one before back to STAGING."""
        self.clock.advance(1)
        before = self.stages[version]
        allowed = after is before or after in TRANSITIONS[before]
        try:
            self.run(self.service.change_stage(ANN, "digits", version, after, "why"))
        except Conflict:
            assert not allowed
            return
        assert allowed
        if after is before:
            return
        if after is Stage.PRODUCTION:
            self._replace(version)
            self.promoted = [*(number for number in self.promoted if number != version), version]
        self.stages[version] = after

    @rule()
    def rollback(self) -> None:
        """What was promoted before comes back, if it still stands in STAGING."""
        self.clock.advance(1)
        current = next((number for number, stage in self.stages.items() if stage is Stage.PRODUCTION), None)
        left = self.promoted if current is None else self.promoted[: self.promoted.index(current)]
        possible = bool(left) and self.stages[left[-1]] is Stage.STAGING
        try:
            back = self.run(self.service.rollback(ANN, "digits", "why"))
        except Conflict:
            assert not possible
            return
        assert possible
        assert back.version == left[-1]
        self._replace(back.version)
        self.stages[back.version] = Stage.PRODUCTION
        self.promoted = list(left)

    def _replace(self, by: int) -> None:
        for number, stage in self.stages.items():
            if stage is Stage.PRODUCTION and number != by:
                self.stages[number] = Stage.STAGING

    @invariant()
    def laws_hold(self) -> None:
        """See the module."""
        if not hasattr(self, "db"):
            return
        stages, changes, verdict, there = self.run(self._look())
        assert stages == self.stages
        in_production = [number for number, stage in stages.items() if stage is Stage.PRODUCTION]
        assert len(in_production) <= 1
        last: dict[int, Stage] = {}
        for change in changes:
            last.setdefault(change.version, change.after)
        assert {number: last.get(number, Stage.DEVELOPMENT) for number in stages} == stages
        assert (verdict.findings, verdict.entries) == ((), len(changes))
        assert ([] if there is None else [there.version]) == in_production

    async def _look(self) -> tuple[dict[int, Stage], tuple[Any, ...], Verdict, Any]:
        async with self.db.read("acme") as session:
            page = await VersionRepository(session, "acme").page("digits", PageRequest())
        history = await self.service.history("acme", "digits", PageRequest(limit=200))
        there = await self.service.production_at("acme", "digits", self.clock.now())
        stages = {version.version: version.stage for version in page.items}
        return stages, history.items, await self.audit.verify("acme"), there

    def teardown(self) -> None:
        if hasattr(self, "db"):
            self.run(self.db.close())
            self.loop.close()
            shutil.rmtree(self.home)


class _Trusting(Gatekeeper):
    """Versions here have no bytes whose signature could be looked at."""

    async def require_signature(self, version: Version) -> None:
        """Takes it as verified."""


def _model(now: Any) -> Model:
    return Model(
        tenant="acme",
        name="digits",
        description="",
        tags=(),
        latest_version=None,
        production_version=None,
        created_at=now,
        updated_at=now,
    )


def _version(number: int, now: Any) -> Version:
    digest = f"sha256:{number:064x}"
    source = Variant(
        name="onnx-fp32/cpu",
        format="onnx",
        precision="fp32",
        device="cpu",
        digest=digest,
        signature_digest=digest,
        key_id="00",
        size=0,
        source=True,
    )
    return Version(
        tenant="acme",
        model="digits",
        version=number,
        stage=Stage.DEVELOPMENT,
        format="onnx",
        digest=digest,
        signature_digest=digest,
        key_id="00",
        size=0,
        files=(),
        inputs=(),
        outputs=(),
        metadata={},
        created_at=now,
        created_by="zoe",
        variants=(source,),
    )


TestStages = StageMachine.TestCase
TestStages.settings = settings(max_examples=8, stateful_step_count=15, deadline=None)
