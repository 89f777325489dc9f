# SPDX-License-Identifier: Apache-2.0
"""Records of tenants, remembered."""

from __future__ import annotations

import asyncio

import pytest

from artifacts.testing import refused
from core.clock import ManualClock
from core.errors import AuthError, ErrorCode, Unavailable
from services.edge.auth import tenants as module
from services.edge.auth.tenants import RememberedTenants, SameForAll, TenantRecord
from services.edge.context import NO_LIMITS, TenantLimits
from services.edge.features import DEFAULT_FEATURES


class Registry:
    """Records in memory; may be away, and counts."""

    def __init__(self) -> None:
        self.records = {"acme": TenantRecord(limits=TenantLimits(burst=1))}
        self.away = False
        self.asked: list[str] = []

    async def tenant(self, name: str) -> TenantRecord:
        self.asked.append(name)
        await asyncio.sleep(0)
        if self.away:
            raise Unavailable(ErrorCode.STORE_UNAVAILABLE, "Away.")
        if name not in self.records:
            raise AuthError(ErrorCode.AUTH_INVALID, "No such tenant.")
        return self.records[name]


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def tenants(registry: Registry, clock: ManualClock) -> RememberedTenants:
    return RememberedTenants(registry.tenant, clock=clock, fresh_s=5, grace_s=60)


async def test_a_record_is_asked_for_once_while_fresh(
    tenants: RememberedTenants, registry: Registry, clock: ManualClock
) -> None:
    """Many tokens of a tenant cost one question; a changed record is seen when the old one is no longer fresh."""
    await asyncio.gather(*(tenants.record("acme") for _ in range(20)))
    registry.records["acme"] = TenantRecord(limits=TenantLimits(burst=2))
    assert (await tenants.record("acme")).limits.burst == 1
    assert registry.asked == ["acme"]
    clock.advance(5)
    assert (await tenants.record("acme")).limits.burst == 2


async def test_a_tenant_that_is_not_there_is_refused(
    tenants: RememberedTenants, registry: Registry, clock: ManualClock
) -> None:
    """Neither one that never was nor one that is gone, and neither takes memory."""
    await tenants.record("acme")
    registry.records.clear()
    clock.advance(5)
    for name in ("acme", "globex"):
        with refused(ErrorCode.AUTH_INVALID):
            await tenants.record(name)
    assert not tenants._known


async def test_known_records_survive_an_absent_registry(
    tenants: RememberedTenants, registry: Registry, clock: ManualClock
) -> None:
    """For grace_s, asked for once per fresh_s; an unknown tenant gets a retryable error."""
    await tenants.record("acme")
    registry.away = True
    for _ in range(12):
        clock.advance(5)
        assert (await tenants.record("acme")).limits.burst == 1
        assert (await tenants.record("acme")).limits.burst == 1
    assert len(registry.asked) == 13
    clock.advance(5)
    for name in ("acme", "globex"):
        with pytest.raises(Unavailable):
            await tenants.record(name)


async def test_records_are_bounded(
    tenants: RememberedTenants, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound the oldest is forgotten."""
    monkeypatch.setattr(module, "_MOST_TENANTS", 3)
    registry.records = {f"t{n}": TenantRecord() for n in range(5)}
    for name in registry.records:
        await tenants.record(name)
    assert list(tenants._known) == ["t2", "t3", "t4"]


async def test_without_a_registry_all_are_the_same() -> None:
    """No limits of their own, and the features every tenant has."""
    record = await SameForAll().record("anybody")
    assert (record.limits, record.features) == (NO_LIMITS, DEFAULT_FEATURES)
