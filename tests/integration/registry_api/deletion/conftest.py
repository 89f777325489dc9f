# SPDX-License-Identifier: Apache-2.0
"""Gives the tests of this folder a registry, on either database, whose time they decide about."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.clock import ManualClock
from registry_api.settings.storage import DatabaseSettings
from tests.integration.registry_api.rest import Api, open_api, tiny_onnx


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def api(tmp_path: Path, database: DatabaseSettings, clock: ManualClock) -> AsyncIterator[Api]:
    """With two versions of ``digits``, whose bytes differ."""
    async with open_api(tmp_path / "home", clock=clock, database=database) as api:
        await api.ok("POST", "/models", json={"name": "digits", "tags": ["team:vision"]})
        for seed in (1, 2):
            await api.push("digits", {"model.onnx": tiny_onnx(seed)}, metadata={"seed": f"seed{seed}"})
        yield api
