# SPDX-License-Identifier: Apache-2.0
"""Purges on both databases: what goes, what stays, and what becomes of names and numbers."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from artifacts.stores.interface import BlobStore
from core.clock import ManualClock
from registry_api.audit.service import AuditService
from registry_api.db.session import EVERY_TENANT
from registry_api.deletion.purging.purger import Purger
from registry_api.deletion.service import DeletionService, Why
from registry_api.http.access import Role
from registry_api.http.auth import Principal
from registry_api.http.pagination import PageRequest
from registry_api.models.tables import ModelRow
from registry_api.models.transfer import upload_bytes
from registry_api.models.uploads.interface import TenantBlobs
from registry_api.schema import METADATA
from registry_api.storage.collection import Collector
from registry_api.webhooks.tables import EventRow
from tests.integration.registry_api.deletion.furnishing import deploy, end
from tests.integration.registry_api.promotion.governing import add, move
from tests.integration.registry_api.rest import Api, digest_of, tiny_onnx

REASON = {"reason": "wrong data"}
GONE = (404, "MODEL_001")
V2 = "/models/digits/versions/2"
DAY = 24 * 3600.0


async def purge(api: Api) -> int:
    return await Purger(api.platform.db, api.platform.clock).purge()


async def delete(api: Api, at: str) -> Any:
    return await api.ok("DELETE", at, params=REASON)


async def collect(api: Api) -> int:
    """Collects blobs of whatever age; how many went."""
    collector = Collector(
        db=api.platform.db,
        store=api.platform.store,
        sealed=api.platform.blobs.sealed,
        blobs=api.services.get(TenantBlobs),  # type: ignore[type-abstract]
        clock=ManualClock(),
        older_than=timedelta(days=-100_000),
    )
    return (await collector.collect()).removed


async def rows(api: Api, *, beside: frozenset[str] = frozenset()) -> dict[str, int]:
    """How many rows each table has that has any."""
    async with api.platform.db.read(EVERY_TENANT) as session:
        counts = {
            table.name: await session.scalar(select(func.count()).select_from(table)) or 0
            for table in METADATA.sorted_tables
            if table.name not in beside
        }
    return {name: count for name, count in counts.items() if count}


RECORDS = frozenset({"audit_entries", "audit_heads", "audit_checkpoints", "events", "idempotency_keys", "jobs"})
"""What a purge leaves, or adds to."""


async def test_a_purge_leaves_what_was_there_before_the_version(api: Api, clock: ManualClock) -> None:
    """With files, card, evidence, build, tuning, deployment and upload: every row of it goes, and its blobs with them."""
    before = await rows(api, beside=RECORDS)
    await api.push("digits", {"model.onnx": tiny_onnx(3), "own.txt": b"only here", "both.txt": b"shared"})
    await api.push("digits", {"model.onnx": tiny_onnx(1), "both.txt": b"shared"})
    v3 = "/models/digits/versions/3"
    await api.ok("PUT", f"{v3}/card", json={"fields": {"license": "MIT"}})
    await add(api, 3, "evaluation", {"accuracy": 1})
    build = await api.ok("POST", "/builds", json={"model": "digits", "version": 3})
    tuning = await api.ok("POST", "/tunings", json={"model": "digits", "version": 3})
    store: BlobStore = api.platform.store
    archive = await upload_bytes(store, "default", b"an archive")
    await end(api, build, tuning, digest=archive)
    await deploy(api, build, "failed")
    await delete(api, v3)
    clock.advance(30 * DAY - 1)
    assert await purge(api) == 0
    assert await collect(api) == 0
    clock.advance(1)
    assert await purge(api) == 1
    assert await purge(api) == 0
    assert await collect(api) == 5  # model, own.txt, manifest, signature, archive
    assert await store.size("default", digest_of(b"only here")) is None
    assert await store.size("default", digest_of(b"shared")) == 6
    assert await api.refused("POST", f"{v3}/restore", json=REASON) == GONE
    assert (await api.push("digits", {"model.onnx": tiny_onnx(5)}))["version"] == 5
    for version in (4, 5):
        await delete(api, f"/models/digits/versions/{version}")
    clock.advance(30 * DAY)
    assert await purge(api) == 2
    assert await rows(api, beside=RECORDS) == before


async def test_what_was_shared_can_still_be_read(api: Api, clock: ManualClock) -> None:
    """A version of the same bytes keeps them."""
    await api.push("digits", {"model.onnx": tiny_onnx(2)})
    await delete(api, V2)
    clock.advance(30 * DAY)
    assert (await purge(api), await collect(api)) == (1, 2)  # its manifest and signature
    content = await api.http.get("/api/v1/models/digits/versions/3/files/model.onnx")
    assert content.content == tiny_onnx(2)


async def test_a_model_that_is_purged_frees_its_name_but_no_number(api: Api, clock: ManualClock) -> None:
    """The next model of that name is new in all but its numbers; history tells of both; open uploads are given up."""
    upload = await api.declare("digits", {"model.onnx": tiny_onnx(9)})
    await api.ok("PUT", "/models/digits/card", json={"fields": {"license": "MIT"}})
    await delete(api, V2)
    clock.advance(DAY)
    await delete(api, "/models/digits")
    clock.advance(29 * DAY)
    assert await purge(api) == 1  # version 2 alone
    assert await api.refused("POST", "/models", json={"name": "digits"}) == (409, "MODEL_005")
    clock.advance(DAY)
    assert await purge(api) == 2
    assert await api.refused("POST", "/models/digits/restore", json=REASON) == GONE
    assert (await api.ok("GET", "/models", params={"deleted": "true"}))["items"] == []
    made = await api.ok("POST", "/models", json={"name": "digits"})
    assert (made["latest_version"], made["tags"], made["deletion"]) == (None, [], None)
    assert (await api.ok("GET", "/models/digits/card"))["fields"].get("license") is None
    assert await api.versions("digits") == []
    assert (await api.ok("GET", "/models", params={"q": "digits"}))["items"] == [made]
    assert await api.refused("POST", "/models", json={"name": "digits"}) == (409, "MODEL_004")
    assert await api.refused("POST", f"/uploads/{upload}/complete") in {(404, "UPLOAD_001"), (409, "STATE_001")}
    assert (await api.push("digits", {"model.onnx": tiny_onnx(1)}))["version"] == 3
    audit = api.services.get(AuditService)
    found = (await audit.page("default", PageRequest(limit=100), resource="digits")).items
    assert [(entry.event.action, entry.event.subject, entry.event.actor) for entry in found[:3]] == [
        ("version.purged", "digits@1", "registry"),
        ("model.purged", "digits", "registry"),
        ("version.purged", "digits@2", "registry"),
    ]
    assert (await audit.verify("default")).findings == ()
    async with api.platform.db.read("default") as session:
        kinds = set(await session.scalars(select(EventRow.kind)))
    assert kinds >= {"version.deleted", "model.deleted", "model.purged", "version.purged"}


async def test_a_model_half_purged_is_neither_restored_nor_made_anew(api: Api, clock: ManualClock) -> None:
    """A sweep that ended after the model's own step: its name is free when the next one has removed the last version."""
    await delete(api, "/models/digits")
    clock.advance(30 * DAY)
    async with api.platform.db.write("default") as session:
        row = (await session.scalars(select(ModelRow))).one()
        row.purged_at, row.purge_at = clock.now(), None
    assert await api.refused("POST", "/models/digits/restore", json=REASON) == GONE
    assert await api.refused("POST", "/models", json={"name": "digits"}) == (409, "MODEL_005")


@pytest.mark.parametrize("what", ["version", "model"])
async def test_a_use_that_began_before_the_deletion_puts_the_purge_off(api: Api, clock: ManualClock, what: str) -> None:
    """A job that no refusal saw: the sweep leaves everything until it has ended."""
    build = await api.ok("POST", "/builds", json={"model": "digits", "version": 2})
    await end(api, build)
    await delete(api, V2 if what == "version" else "/models/digits")
    await deploy(api, build, "running")
    clock.advance(31 * DAY)
    assert await purge(api) == 0
    await deploy(api, build, "stopped")
    assert await purge(api) == (1 if what == "version" else 3)


async def test_without_retention_the_next_sweep_purges(api: Api) -> None:
    """With 0 days what is deleted can be restored until a sweep comes by, and not after."""
    deletions = DeletionService(api.platform.db, api.platform.clock, retention=timedelta(0))
    ann = Why(principal=Principal(tenant="default", key_id="k", name="ann", roles=frozenset(Role)), reason="r")
    await deletions.delete_version(ann, "digits", 2)
    await deletions.restore_version(ann, "digits", 2)
    assert await purge(api) == 0
    await deletions.delete_version(ann, "digits", 2)
    assert await purge(api) == 1
    assert await api.refused("POST", f"{V2}/restore", json=REASON) == GONE


async def test_a_rollback_over_a_purged_version_says_so(api: Api, clock: ManualClock) -> None:
    """What was in production before is gone for good; history still names it."""
    await move(api, 1, "STAGING", "PRODUCTION")
    await move(api, 2, "STAGING", "PRODUCTION")
    await delete(api, "/models/digits/versions/1")
    clock.advance(30 * DAY)
    assert await purge(api) == 1
    assert await api.refused("POST", "/models/digits/rollback", json=REASON) == (409, "STATE_001")
    history = (await api.ok("GET", "/models/digits/history"))["items"]
    assert {change["version"] for change in history} == {1, 2}
