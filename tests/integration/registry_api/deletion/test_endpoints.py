# SPDX-License-Identifier: Apache-2.0
"""Deleting and restoring over HTTP, on both databases."""

from __future__ import annotations

from typing import Any

import pytest

from core.clock import ManualClock
from registry_api.audit.service import AuditService
from registry_api.http.pagination import PageRequest
from registry_api.models.resolving import ResolveCache
from tests.integration.registry_api.deletion.furnishing import deploy, end
from tests.integration.registry_api.promotion.governing import move
from tests.integration.registry_api.rest import Api, tiny_onnx

REASON = {"reason": "wrong data"}
GONE = (404, "MODEL_001")
USED = (409, "STATE_004")
V2 = "/models/digits/versions/2"


async def delete(api: Api, at: str, **request: Any) -> Any:
    return await api.ok("DELETE", at, params=REASON, **request)


async def uses(api: Api, at: str) -> list[tuple[str, int, str]]:
    """What a refusal to delete lists."""
    response = await api.http.request("DELETE", f"/api/v1{at}", params=REASON)
    assert (response.status_code, response.json()["error"]["code"]) == USED
    found = response.json()["error"]["details"]["uses"]
    assert all(use["clear"] for use in found)
    return [(use["use"], use["version"], use["name"]) for use in found]


async def test_a_deleted_version_is_hidden_everywhere_and_comes_back_as_it_was(api: Api) -> None:
    """Get, list, search, resolve, files, card, stage and lineage pass over it; deleted ones have a list of their own."""
    before = await api.ok("GET", V2)
    deleted = await delete(api, V2)
    assert (deleted["deletion"]["reason"], deleted["deletion"]["by"]) == ("wrong data", "first admin")
    assert {**deleted, "deletion": None} == before
    for at in ("", "/manifest", "/signature", "/files/model.onnx", "/card", "/lineage", "/approvals", "/evidence"):
        assert await api.refused("GET", V2 + at) == GONE, at
    assert await api.refused("PUT", f"{V2}/stage", json={"stage": "STAGING", **REASON}) == GONE
    assert await api.refused("PUT", "/models/digits/aliases/x", json={"version": 2, **REASON}) == GONE
    assert await api.refused("POST", "/builds", json={"model": "digits", "version": 2}) == GONE
    assert await api.refused("DELETE", V2, params=REASON) == GONE
    assert await api.versions("digits") == [1]
    assert (await api.ok("GET", "/models/digits"))["latest_version"] == 1
    assert (await api.ok("GET", "/models/digits/resolve"))["version"] == 1
    assert (await api.ok("GET", "/models", params={"q": "seed2"}))["items"] == []
    assert len((await api.ok("GET", "/models", params={"q": "seed1"}))["items"]) == 1
    assert (await api.ok("GET", "/models/digits/versions", params={"deleted": "true"}))["items"] == [deleted]
    assert await api.ok("POST", f"{V2}/restore", json=REASON) == before
    assert await api.ok("GET", V2) == before
    assert await api.versions("digits") == [2, 1]
    assert len((await api.ok("GET", "/models", params={"q": "seed2"}))["items"]) == 1
    assert await api.refused("POST", f"{V2}/restore", json=REASON) == GONE


async def test_a_number_is_never_given_again(api: Api) -> None:
    """The version after a deleted one counts on; what completed the deleted one does so no more."""
    upload = await api.declare("digits", {"model.onnx": tiny_onnx(3)})
    await api.send(upload, {"model.onnx": tiny_onnx(3)})
    assert (await api.ok("POST", f"/uploads/{upload}/complete"))["version"] == 3
    await delete(api, "/models/digits/versions/3")
    assert await api.refused("POST", f"/uploads/{upload}/complete") == GONE
    assert (await api.push("digits", {"model.onnx": tiny_onnx(4)}))["version"] == 4


async def test_a_deleted_model_is_hidden_with_all_it_has_and_holds_its_name(api: Api) -> None:
    """It is in no list and no search but that of deleted ones; its name is MODEL_005 until it is restored."""
    await delete(api, V2)
    before = await api.ok("GET", "/models/digits")
    deleted = await delete(api, "/models/digits")
    assert {**deleted, "deletion": None} == before
    for at in ("", "/versions", "/versions/1", "/resolve", "/card", "/aliases", "/history"):
        assert await api.refused("GET", f"/models/digits{at}") == GONE, at
    for query in ({}, {"q": "digits"}, {"tag": "team:vision"}, {"format": "onnx"}):
        assert (await api.ok("GET", "/models", params=query))["items"] == [], query
        assert (await api.ok("GET", "/models", params={**query, "deleted": "true"}))["items"] == [deleted], query
    files = [{"path": "model.onnx", "size": 1, "digest": "sha256:" + "0" * 64}]
    assert await api.refused("POST", "/models/digits/uploads", json={"files": files}) == GONE
    assert await api.refused("POST", "/models", json={"name": "digits"}) == (409, "MODEL_005")
    assert await api.refused("POST", "/models/digits/versions/2/restore", json=REASON) == GONE
    assert await api.ok("POST", "/models/digits/restore", json=REASON) == before
    assert await api.versions("digits") == [1]  # what was deleted before its model stays deleted
    assert (await api.ok("POST", "/models/digits/versions/2/restore", json=REASON))["version"] == 2


async def test_a_used_version_is_not_deleted(api: Api) -> None:
    """PRODUCTION, alias, deployment, build and tuning are listed, each with how to clear it; then it can be deleted."""
    await move(api, 1, "STAGING", "PRODUCTION")
    await api.ok("PUT", "/models/digits/aliases/champion", json={"version": 1, **REASON})
    build = await api.ok("POST", "/builds", json={"model": "digits", "version": 1})
    tuning = await api.ok("POST", "/tunings", json={"model": "digits", "version": 1})
    await deploy(api, build, "running")
    found = [
        ("alias", 1, "champion"),
        ("build", 1, build["job_id"]),
        ("deployment", 1, "d"),
        ("production", 1, "PRODUCTION"),
        ("tuning", 1, tuning["job_id"]),
    ]
    assert await uses(api, "/models/digits/versions/1") == found
    assert await uses(api, "/models/digits") == found
    await delete(api, V2)  # nothing uses that one
    await move(api, 1, "STAGING")
    await api.ok("DELETE", "/models/digits/aliases/champion", params={"expected": "1", **REASON})
    await end(api, build, tuning)
    assert await uses(api, "/models/digits") == [("deployment", 1, "d")]
    await deploy(api, build, "stopped")
    assert (await delete(api, "/models/digits"))["deletion"] is not None


async def test_nothing_is_deployed_of_a_deleted_version(api: Api) -> None:
    """A build that succeeded before is not deployed after, and is again after a restore."""
    build = await api.ok("POST", "/builds", json={"model": "digits", "version": 2})
    await end(api, build)
    await delete(api, V2)
    body = {"name": "d", "build_id": build["id"]}
    assert await api.refused("POST", "/deployments", json=body) == GONE
    await api.ok("POST", f"{V2}/restore", json=REASON)
    assert (await api.ok("POST", "/deployments", json=body))["state"] == "pending"


async def test_a_rollback_does_not_bring_back_what_is_deleted(api: Api) -> None:
    """STATE_001 says to restore it first; after that it goes."""
    await move(api, 1, "STAGING", "PRODUCTION")
    await move(api, 2, "STAGING", "PRODUCTION")
    await delete(api, "/models/digits/versions/1")
    assert await api.refused("POST", "/models/digits/rollback", json=REASON) == (409, "STATE_001")
    await api.ok("POST", "/models/digits/versions/1/restore", json=REASON)
    assert (await api.ok("POST", "/models/digits/rollback", json=REASON))["version"] == 1


async def test_if_match_and_idempotency_key_are_honoured(api: Api) -> None:
    """412 for another state; a repeat under one key gets the first answer and deletes nothing twice."""
    etag = (await api.http.get(f"/api/v1{V2}")).headers["etag"]
    await api.ok("PATCH", V2, json={"description": "changed"})
    stale = {"If-Match": etag}
    assert await api.refused("DELETE", V2, params=REASON, headers=stale) == (412, "STATE_003")
    headers = {"If-Match": (await api.http.get(f"/api/v1{V2}")).headers["etag"], "Idempotency-Key": "k1"}
    first, again = [await api.http.delete(f"/api/v1{V2}", params=REASON, headers=headers) for _ in range(2)]
    assert (first.status_code, again.status_code, again.content) == (200, 200, first.content)
    assert await api.refused("POST", f"{V2}/restore", json=REASON, headers=stale) == (412, "STATE_003")
    restored = await api.http.post(f"/api/v1{V2}/restore", json=REASON, headers={"If-Match": first.headers["etag"]})
    assert restored.headers["etag"] == headers["If-Match"]
    etag = (await api.http.get("/api/v1/models/digits")).headers["etag"]
    assert await api.refused("DELETE", "/models/digits", params=REASON, headers=stale) == (412, "STATE_003")
    await delete(api, "/models/digits", headers={"If-Match": etag})


async def test_events_and_history_tell_of_each_step(api: Api, clock: ManualClock) -> None:
    """Who, why and until when; the chain verifies."""
    await delete(api, V2)
    clock.advance(1)
    await api.ok("POST", f"{V2}/restore", json={"reason": "still needed"})
    await delete(api, "/models/digits")
    await api.ok("POST", "/models/digits/restore", json=REASON)
    audit = api.services.get(AuditService)
    entries = [entry.event for entry in (await audit.page("default", PageRequest(limit=4), resource="digits")).items]
    assert [(event.action, event.subject, event.reason) for event in entries[::-1]] == [
        ("version.deleted", "digits@2", "wrong data"),
        ("version.restored", "digits@2", "still needed"),
        ("model.deleted", "digits", "wrong data"),
        ("model.restored", "digits", "wrong data"),
    ]
    first = entries[-1]
    assert (first.before, first.actor) == ({"deleted": False}, "first admin")
    assert first.after is not None
    assert first.after["deleted"] is True
    assert first.evidence is not None
    assert first.evidence["digest"].startswith("sha256:")
    assert (await audit.verify("default")).findings == ()


async def test_a_process_that_remembers_answers_forgets_deleted_ones(api: Api) -> None:
    """The short way of resolve answers what the route answers, at once."""
    resolve = "/models/digits/resolve"
    assert [(await api.ok("GET", resolve))["version"] for _ in range(2)] == [2, 2]
    assert api.services.get(ResolveCache).get("default", "digits", b"") is not None
    await delete(api, V2)
    assert (await api.ok("GET", resolve))["version"] == 1
    await api.ok("POST", f"{V2}/restore", json=REASON)
    assert (await api.ok("GET", resolve))["version"] == 2
    await delete(api, "/models/digits")
    assert await api.refused("GET", resolve) == GONE


@pytest.mark.parametrize("at", [V2, "/models/digits"])
async def test_who_may_not_and_who_is_elsewhere(api: Api, at: str) -> None:
    """A developer is refused; another tenant's administrator finds nothing, deleted or not; the reason is needed."""
    developer = {"X-API-Key": await api.key("developer")}
    assert await api.refused("DELETE", at, params=REASON, headers=developer) == (403, "AUTH_003")
    assert await api.refused("DELETE", at) == (422, "VALID_002")
    await api.ok("POST", "/tenants", json={"name": "acme"})
    foreign = {"X-API-Key": await api.key("tenant-admin", tenant="acme")}
    assert await api.refused("DELETE", at, params=REASON, headers=foreign) == GONE
    manager = {"X-API-Key": await api.key("model-admin")}
    await delete(api, at, headers=manager)
    assert await api.refused("POST", f"{at}/restore", json=REASON, headers=foreign) == GONE
    assert await api.refused("POST", f"{at}/restore", json=REASON, headers=developer) == (403, "AUTH_003")
    assert (await api.ok("GET", "/models?deleted=true", headers=foreign))["items"] == []
    await api.ok("POST", f"{at}/restore", json=REASON, headers=manager)
