# SPDX-License-Identifier: Apache-2.0
"""Aliases over HTTP."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.integration.registry_api.promotion.governing import approve, headers
from tests.integration.registry_api.rest import Api

AT = "/models/digits/aliases/champion"


async def point(api: Api, version: int, expected: int | None, **request: Any) -> Any:
    body = {"version": version, "expected": expected, "reason": "better"}
    return await api.ok("PUT", AT, json=body, **request)


async def test_an_alias_is_set_moved_resolved_and_removed(digits: Api) -> None:
    """Resolving follows it; the history has every step."""
    await point(digits, 1, None)
    await point(digits, 3, 1)
    await point(digits, 3, 1)  # as it is already
    assert (await digits.ok("GET", "/models/digits/resolve?alias=champion"))["version"] == 3
    [listed] = (await digits.ok("GET", "/models/digits/aliases"))["items"]
    assert (listed["alias"], listed["version"], listed["moved_by"]) == ("champion", 3, "first admin")
    await digits.ok("DELETE", AT, params={"expected": 3, "reason": "over"})
    assert await digits.refused("GET", "/models/digits/resolve?alias=champion") == (404, "MODEL_001")
    moves = [
        (entry["subject"], entry["before"], entry["after"], entry["reason"])
        for entry in (await digits.ok("GET", "/audit?action=alias.moved"))["items"]
    ]
    assert moves == [
        ("digits@champion", {"version": 3}, None, "over"),
        ("digits@champion", {"version": 1}, {"version": 3}, "better"),
        ("digits@champion", None, {"version": 1}, "better"),
    ]


async def test_two_movers_do_not_silently_overwrite_each_other(digits: Api) -> None:
    """Of movers who saw the same state one wins; the others are told where the alias points."""
    await point(digits, 1, None)
    bodies = [{"version": 2 + at % 2, "expected": 1, "reason": f"mover {at}"} for at in range(16)]
    answers = await asyncio.gather(*(digits.http.put(f"/api/v1{AT}", json=body) for body in bodies))
    won = {answer.json()["version"] for answer in answers if answer.is_success}
    assert len(won) == 1  # who asked for the winner's version as well was told that it is so
    refused = [answer.json()["error"] for answer in answers if answer.is_error]
    assert {(error["code"], error["details"]["current"]) for error in refused} == {("STATE_001", *won)}
    entries = (await digits.ok("GET", "/audit?action=alias.moved"))["items"]
    assert [entry["after"]["version"] for entry in entries] == [*won, 1]


async def test_an_alias_is_not_made_or_removed_over_somebody_elses_head(digits: Api) -> None:
    """Expecting none where there is one, one where there is none, or another than there is."""
    body = {"version": 1, "expected": 2, "reason": "x"}
    assert await digits.refused("PUT", AT, json=body) == (409, "STATE_001")
    await point(digits, 1, None)
    assert await digits.refused("PUT", AT, json={"version": 2, "reason": "x"}) == (409, "STATE_001")
    assert await digits.refused("DELETE", AT, params={"expected": 2, "reason": "x"}) == (409, "STATE_001")
    assert await digits.refused("DELETE", f"{AT}s", params={"expected": 2, "reason": "x"}) == (404, "MODEL_001")
    assert await digits.refused("PUT", AT, json={"version": 9, "expected": 1, "reason": "x"}) == (404, "MODEL_001")


async def test_an_alias_with_gates_is_protected(digits: Api) -> None:
    """A developer moves others but not this one; who may still needs what the gates ask for."""
    developer, admin = await headers(digits, "developer"), await headers(digits, "model-admin")
    await digits.ok("PUT", "/gates/@champion", json={"approvals": 1})
    body = {"version": 1, "expected": None, "reason": "x"}
    await digits.ok("PUT", f"{AT}-free", json=body, headers=developer)
    assert await digits.refused("PUT", AT, json=body, headers=developer) == (403, "AUTH_003")
    assert await digits.refused("PUT", AT, json=body, headers=admin) == (409, "GATE_001")
    await approve(digits, 1, await headers(digits, "approver"), target="@champion")
    await digits.ok("PUT", AT, json=body, headers=admin)
    gone = {"expected": 1, "reason": "x"}
    assert await digits.refused("DELETE", AT, params=gone, headers=developer) == (403, "AUTH_003")
    await digits.ok("PUT", "/gates/@champion", json={"roles": ["developer"]})
    assert await digits.refused("DELETE", AT, params=gone, headers=admin) == (403, "AUTH_003")
    await digits.ok("DELETE", AT, params=gone, headers=developer)


async def test_a_number_is_no_alias(digits: Api) -> None:
    """So that a version and an alias cannot be mistaken for each other."""
    body = {"version": 1, "reason": "x"}
    assert await digits.refused("PUT", "/models/digits/aliases/7", json=body) == (422, "VALID_002")
