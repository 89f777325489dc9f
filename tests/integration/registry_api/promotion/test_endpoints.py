# SPDX-License-Identifier: Apache-2.0
"""Stages and their history over HTTP."""

from __future__ import annotations

import asyncio

import pytest

from tests.integration.registry_api.rest import Api, tiny_onnx


@pytest.fixture
async def digits(api: Api) -> Api:
    """A registry with three versions of one model."""
    await api.ok("POST", "/models", json={"name": "digits"})
    for seed in range(3):
        await api.push("digits", {"model.onnx": tiny_onnx(), "note.txt": b"%d" % seed})
    return api


async def move(api: Api, version: int, *stages: str, **request: object) -> None:
    for stage in stages:
        body = {"stage": stage, "reason": f"to {stage}"}
        await api.ok("PUT", f"/models/digits/versions/{version}/stage", json=body, **request)


async def stages(api: Api) -> dict[int, str]:
    page = await api.ok("GET", "/models/digits/versions")
    return {item["version"]: item["stage"] for item in page["items"]}


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


async def test_production_needs_scope_deploy_and_the_rest_push(digits: Api) -> None:
    """A push key stops before PRODUCTION, a deploy key does not move between the others, a read key moves nothing."""
    push = {"X-API-Key": await digits.key("push")}
    deploy = {"X-API-Key": await digits.key("deploy")}
    read = {"X-API-Key": await digits.key("read")}
    at, to = "/models/digits/versions/1/stage", {"stage": "STAGING", "reason": "test"}
    assert await digits.refused("PUT", at, json=to, headers=read) == (403, "AUTH_003")
    assert await digits.refused("PUT", at, json=to, headers=deploy) == (403, "AUTH_003")
    await move(digits, 1, "STAGING", headers=push)
    to = {"stage": "PRODUCTION", "reason": "test"}
    assert await digits.refused("PUT", at, json=to, headers=push) == (403, "AUTH_003")
    await move(digits, 1, "PRODUCTION", headers=deploy)


async def test_promotions_at_once_leave_one_version_in_production(digits: Api) -> None:
    """Thirty promotions of three versions; whatever the order, one wins and every move is in the history."""
    for version in (1, 2, 3):
        await move(digits, version, "STAGING")
    await asyncio.gather(*(move(digits, 1 + at % 3, "PRODUCTION") for at in range(30)))
    assert sorted((await stages(digits)).values()) == ["PRODUCTION", "STAGING", "STAGING"]
    history = (await digits.ok("GET", "/models/digits/history?limit=200"))["items"]
    latest: dict[int, str] = {}
    for item in history:
        latest.setdefault(item["version"], item["to"])
    assert latest == await stages(digits)


@pytest.mark.parametrize(
    "body", [{"stage": "STAGING"}, {"stage": "STAGING", "reason": " "}, {"stage": "LIVE", "reason": "x"}]
)
async def test_a_move_needs_a_stage_and_a_reason(digits: Api, body: dict[str, str]) -> None:
    """422 VALID_002."""
    assert await digits.refused("PUT", "/models/digits/versions/1/stage", json=body) == (422, "VALID_002")
