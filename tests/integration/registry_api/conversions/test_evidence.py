# SPDX-License-Identifier: Apache-2.0
"""The verdict of a conversion as evidence that a stage's gate is decided on."""

from __future__ import annotations

from typing import Any

from tests.integration.registry_api.conversions.conftest import ConvertBench

VERSION = "/models/digits/versions/1"


async def unmet(bench: ConvertBench) -> list[str]:
    """Gates of STAGING that the version does not meet."""
    readiness = await bench.api.ok("GET", f"{VERSION}/readiness", params={"target": "STAGING"})
    return [each["gate"] for each in readiness["unmet"]]


async def test_the_gate_follows_the_newest_verdict(bench: ConvertBench) -> None:
    """Nothing, rejected, accepted: the document is signed for the version and names conversion, variant and report."""
    await bench.push()
    await bench.api.ok("PUT", "/gates/STAGING", json={"parity": True})
    assert await unmet(bench) == ["parity"]
    async with bench.converting():
        await bench.convert(does="reject")
        assert await unmet(bench) == ["parity"]
        move: dict[str, Any] = {"json": {"stage": "STAGING", "reason": "r"}}
        assert await bench.api.refused("PUT", f"{VERSION}/stage", **move) == (409, "GATE_001")
        shown = await bench.convert()
    assert await unmet(bench) == []
    newest, older = (await bench.api.ok("GET", f"{VERSION}/evidence"))["items"]
    assert (newest["kind"], newest["content"]["passed"], older["content"]["passed"]) == ("parity", True, False)
    assert newest["content"]["conversion"] == shown["id"]
    await bench.api.ok("PUT", f"{VERSION}/stage", json={"stage": "STAGING", "reason": "r"})


async def test_bounds_of_ones_own_do_not_open_the_gate(bench: ConvertBench) -> None:
    """An accepted result says nothing then."""
    await bench.push()
    async with bench.converting():
        shown = await bench.convert(thresholds={"cosine": 0.1})
    assert shown["results"][0]["accepted"]
    assert (await bench.api.ok("GET", f"{VERSION}/evidence"))["items"] == []
