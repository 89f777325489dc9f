# SPDX-License-Identifier: Apache-2.0
"""Stages and their history over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.integration.registry_api.promotion.governing import headers, move, stages
from tests.integration.registry_api.rest import Api


async def test_promotion_sends_the_old_production_version_back_to_staging(digits: Api) -> None:
    """Version 2 replaces version 1; the model and the history say so; promoting 1 again is the way back."""
    await move(digits, 1, "STAGING", "PRODUCTION")
    await move(digits, 2, "STAGING", "PRODUCTION")
    assert await stages(digits) == {1: "STAGING", 2: "PRODUCTION", 3: "DEVELOPMENT"}
    assert (await digits.ok("GET", "/models/digits"))["production_version"] == 2
    history = (await digits.ok("GET", "/models/digits/history"))["items"]
    assert [(item["version"], item["from"], item["to"]) for item in history[:2]] == [
        (2, "STAGING", "PRODUCTION"),
        (1, "PRODUCTION", "STAGING"),
    ]
    assert history[0]["actor"] == "first admin"
    assert history[1]["reason"] == "replaced by version 2: to PRODUCTION"
    await move(digits, 1, "PRODUCTION")
    assert await stages(digits) == {1: "PRODUCTION", 2: "STAGING", 3: "DEVELOPMENT"}


async def test_a_move_the_table_does_not_have_is_a_conflict_that_names_the_moves_it_has(digits: Api) -> None:
    """DEVELOPMENT cannot become PRODUCTION; nothing is written."""
    response = await digits.http.put(
        "/api/v1/models/digits/versions/1/stage", json={"stage": "PRODUCTION", "reason": "hurry"}
    )
    error = response.json()["error"]
    assert (response.status_code, error["code"]) == (409, "STATE_001")
    assert error["details"] == {"stage": "DEVELOPMENT", "allowed": ["DEPRECATED", "STAGING"]}
    assert (await digits.ok("GET", "/models/digits/history"))["items"] == []


async def test_asking_for_the_present_stage_changes_nothing(digits: Api) -> None:
    """The answer is the version; history stays empty."""
    await move(digits, 1, "DEVELOPMENT")
    assert (await digits.ok("GET", "/models/digits/history"))["items"] == []


async def test_production_needs_an_administrator_of_models(digits: Api) -> None:
    """A developer stops before PRODUCTION, a viewer moves nothing."""
    developer, admin, viewer = [await headers(digits, role) for role in ("developer", "model-admin", "viewer")]
    at, to = "/models/digits/versions/1/stage", {"stage": "STAGING", "reason": "test"}
    assert await digits.refused("PUT", at, json=to, headers=viewer) == (403, "AUTH_003")
    await move(digits, 1, "STAGING", headers=developer)
    to = {"stage": "PRODUCTION", "reason": "test"}
    assert await digits.refused("PUT", at, json=to, headers=developer) == (403, "AUTH_003")
    await move(digits, 1, "PRODUCTION", headers=admin)


async def test_promotions_at_once_leave_one_version_in_production(digits: Api) -> None:
    """Sixty-four promotions of three versions; whatever the order, one wins and the history is one chain of every move."""
    for version in (1, 2, 3):
        await move(digits, version, "STAGING")
    await asyncio.gather(*(move(digits, 1 + at % 3, "PRODUCTION") for at in range(64)))
    assert sorted((await stages(digits)).values()) == ["PRODUCTION", "STAGING", "STAGING"]
    history = (await digits.ok("GET", "/models/digits/history?limit=200"))["items"]
    latest: dict[int, str] = {}
    for item in history:
        latest.setdefault(item["version"], item["to"])
    assert latest == await stages(digits)
    verdict = await digits.ok("GET", "/audit/verify")
    assert (verdict["intact"], verdict["findings"]) == (True, [])
    entries = (await digits.ok("GET", "/audit?limit=200"))["items"]
    assert [entry["seq"] for entry in entries] == list(range(verdict["entries"], 0, -1))


@pytest.mark.parametrize(
    "body", [{"stage": "STAGING"}, {"stage": "STAGING", "reason": " "}, {"stage": "LIVE", "reason": "x"}]
)
async def test_a_move_needs_a_stage_and_a_reason(digits: Api, body: dict[str, str]) -> None:
    """422 VALID_002."""
    assert await digits.refused("PUT", "/models/digits/versions/1/stage", json=body) == (422, "VALID_002")


async def test_a_rollback_brings_back_what_was_there_before(digits: Api) -> None:
    """1, then 2, then 3; back to 2, back to 1: a version that was rolled back is not gone back to."""
    for version in (1, 2, 3):
        await move(digits, version, "STAGING", "PRODUCTION")
    for version in (2, 1):
        back = await digits.ok("POST", "/models/digits/rollback", json={"reason": "too slow"})
        assert (back["version"], back["stage"]) == (version, "PRODUCTION")
    assert await stages(digits) == {1: "PRODUCTION", 2: "STAGING", 3: "STAGING"}
    newest = (await digits.ok("GET", "/models/digits/history"))["items"][:2]
    assert [(item["version"], item["to"], item["cause"], item["reason"]) for item in newest] == [
        (1, "PRODUCTION", "rollback", "too slow"),
        (2, "STAGING", "replaced", "replaced by version 1: too slow"),
    ]
    answer = await digits.refused("POST", "/models/digits/rollback", json={"reason": "again"})
    assert answer == (409, "STATE_001")


async def test_a_rollback_is_for_who_may_promote_and_names_what_is_in_its_way(digits: Api) -> None:
    """A developer may not; a version that was deprecated meanwhile is not brought back behind anybody's back."""
    await move(digits, 1, "STAGING", "PRODUCTION")
    await move(digits, 2, "STAGING", "PRODUCTION")
    await move(digits, 1, "DEPRECATED")
    body = {"reason": "back"}
    developer = await headers(digits, "developer")
    assert await digits.refused("POST", "/models/digits/rollback", json=body, headers=developer) == (403, "AUTH_003")
    error = (await digits.http.post("/api/v1/models/digits/rollback", json=body)).json()["error"]
    assert (error["code"], error["details"]) == ("STATE_001", {"version": 1, "stage": "DEPRECATED"})
    assert (await stages(digits))[2] == "PRODUCTION"


async def test_what_was_in_production_at_any_moment_is_known(digits: Api) -> None:
    """Before, between and after promotions, with who and why."""
    await move(digits, 1, "STAGING", "PRODUCTION")
    await move(digits, 2, "STAGING", "PRODUCTION")
    await move(digits, 2, "STAGING")
    entered = {
        (item["version"], item["to"], item["from"]): item["at"]
        for item in (await digits.ok("GET", "/models/digits/history"))["items"]
    }

    async def at(moment: str) -> Any:
        return await digits.ok("GET", "/models/digits/production", params={"at": moment})

    assert (await at("2020-01-01T00:00:00Z"))["version"] is None
    first = await at(entered[1, "PRODUCTION", "STAGING"])
    assert (first["version"], first["since"]["reason"], first["since"]["actor"]) == (1, "to PRODUCTION", "first admin")
    assert first["since"]["evidence"]["digest"].startswith("sha256:")
    assert (await at(entered[2, "PRODUCTION", "STAGING"]))["version"] == 2
    assert (await at(entered[2, "STAGING", "PRODUCTION"]))["version"] is None
    assert await digits.refused("GET", "/models/other/production?at=2026-01-01T00:00:00Z") == (404, "MODEL_001")


async def test_what_was_revoked_never_enters_production(digits: Api) -> None:
    """Though the stage asks for no gate. Out of production it may still be moved."""
    await move(digits, 1, "STAGING", "PRODUCTION")
    await move(digits, 2, "STAGING")
    for version in (1, 2):
        named = {"version": {"model": "digits", "version": version}, "reason": "it leaks"}
        await digits.ok("POST", "/signing/revoke", json=named)
    body = {"stage": "PRODUCTION", "reason": "now"}
    assert await digits.refused("PUT", "/models/digits/versions/2/stage", json=body) == (409, "GATE_001")
    await move(digits, 1, "STAGING")
    assert (await stages(digits))[1] == "STAGING"
