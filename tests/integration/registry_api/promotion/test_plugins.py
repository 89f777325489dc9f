# SPDX-License-Identifier: Apache-2.0
"""A gate of another distribution, from its installation to the refused promotion."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry_api.promotion.plugins import GROUP
from tests.distributions import installed
from tests.integration.registry_api.promotion.governing import move, unmet
from tests.integration.registry_api.rest import Api, open_api, tiny_onnx

CODE = """
    class Plugin:
        port = 1
        name = "friday"
        def is_available(self):
            return None
        def unmet(self, findings):
            return None if findings.documents.get("evaluation") else "Nobody evaluated it."
"""


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Api]:
    """A registry with the plugin, and a version of ``digits`` in STAGING."""
    with installed(tmp_path, group=GROUP, module="friday_gate", code=CODE):
        async with open_api(tmp_path / "home") as opened:
            await opened.ok("POST", "/models", json={"name": "digits"})
            await opened.push("digits", {"model.onnx": tiny_onnx()})
            await move(opened, 1, "STAGING")
            yield opened


async def test_it_stops_what_it_does_not_let_pass(api: Api) -> None:
    """Asked for by name, it is one of the unmet gates under that name; met, the version moves."""
    await api.ok("PUT", "/gates/PRODUCTION", json={"plugins": ["friday"]})
    assert await unmet(api, 1) == ["friday"]
    body = {"stage": "PRODUCTION", "reason": "now"}
    assert await api.refused("PUT", "/models/digits/versions/1/stage", json=body) == (409, "GATE_001")
    evidence = {"kind": "evaluation", "content": {"accuracy": 1}}
    await api.ok("POST", "/models/digits/versions/1/evidence", json=evidence)
    assert await unmet(api, 1) == []
    await move(api, 1, "PRODUCTION")


async def test_a_gate_that_nobody_installed_is_refused(api: Api) -> None:
    """The rules are not changed."""
    assert await api.refused("PUT", "/gates/PRODUCTION", json={"plugins": ["monday"]}) == (422, "VALID_002")
    assert (await api.ok("GET", "/gates/PRODUCTION"))["gates"]["plugins"] == []
