# SPDX-License-Identifier: Apache-2.0
"""Deprecation over HTTP."""

from __future__ import annotations

from tests.integration.registry_api.promotion.governing import headers, move
from tests.integration.registry_api.rest import Api

AT = "/models/digits/versions/1/deprecation"
MARK = {"sunset": "2099-06-01T00:00:00Z", "message": "use version 2", "reason": "superseded"}


async def test_a_deprecated_version_says_so_wherever_it_is_shown(digits: Api) -> None:
    """In the answer, when it is resolved, and not after it was taken back; the history has both."""
    marked = await digits.ok("PUT", AT, json=MARK)
    resolved = await digits.ok("GET", "/models/digits/resolve?version=1")
    assert resolved["deprecation"] == marked["deprecation"]
    assert (resolved["deprecation"]["sunset"], resolved["deprecation"]["message"]) == (
        "2099-06-01T00:00:00.000Z",
        "use version 2",
    )
    later = await digits.ok("PUT", AT, json={**MARK, "sunset": "2099-07-01T00:00:00Z"})
    assert later["deprecation"]["since"] == marked["deprecation"]["since"]
    await digits.ok("DELETE", AT, params={"reason": "needed"})
    assert (await digits.ok("GET", "/models/digits/versions/1"))["deprecation"] is None
    entries = (await digits.ok("GET", "/audit?action=version.deprecated"))["items"]
    assert [(entry["after"] or {}).get("sunset") for entry in entries] == [
        None,
        "2099-07-01T00:00:00.000Z",
        "2099-06-01T00:00:00.000Z",
    ]


async def test_a_sunset_lies_in_the_future_and_what_is_in_production_is_marked_by_who_may_promote(digits: Api) -> None:
    """422 for a past sunset; 403 for a developer."""
    past = {**MARK, "sunset": "2020-01-01T00:00:00Z"}
    assert await digits.refused("PUT", AT, json=past) == (422, "VALID_002")
    developer = await headers(digits, "developer")
    await digits.ok("PUT", AT, json=MARK, headers=developer)
    await move(digits, 1, "STAGING", "PRODUCTION")
    assert await digits.refused("DELETE", AT, params={"reason": "x"}, headers=developer) == (403, "AUTH_003")
