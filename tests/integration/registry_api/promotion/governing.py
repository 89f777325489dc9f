# SPDX-License-Identifier: Apache-2.0
"""What tests of stages, gates and aliases do to a registry."""

from __future__ import annotations

from typing import Any

from tests.integration.registry_api.rest import Api


async def move(api: Api, version: int, *stages: str, **request: Any) -> None:
    """Moves a version of ``digits`` through stages."""
    for stage in stages:
        body = {"stage": stage, "reason": f"to {stage}"}
        await api.ok("PUT", f"/models/digits/versions/{version}/stage", json=body, **request)


async def stages(api: Api) -> dict[int, str]:
    """Where the versions of ``digits`` stand."""
    page = await api.ok("GET", "/models/digits/versions")
    return {item["version"]: item["stage"] for item in page["items"]}


async def headers(api: Api, *roles: str) -> dict[str, str]:
    """Those of a new key."""
    return {"X-API-Key": await api.key(*roles)}


async def unmet(api: Api, version: int, target: str = "PRODUCTION") -> list[str]:
    """The gates that a version of ``digits`` does not meet."""
    at = f"/models/digits/versions/{version}/readiness"
    return [lack["gate"] for lack in (await api.ok("GET", at, params={"target": target}))["unmet"]]


async def approve(api: Api, version: int, who: dict[str, str], target: str = "PRODUCTION") -> Any:
    """Approves the present state of a version of ``digits``."""
    at = f"/models/digits/versions/{version}"
    state = (await api.ok("GET", f"{at}/readiness", params={"target": target}, headers=who))["state"]
    return await api.ok("POST", f"{at}/approvals", json={"target": target, "state": state}, headers=who)


async def add(api: Api, version: int, kind: str, content: dict[str, Any], **request: Any) -> Any:
    """Adds evidence about a version of ``digits``."""
    body = {"kind": kind, "content": content}
    return await api.ok("POST", f"/models/digits/versions/{version}/evidence", json=body, **request)
