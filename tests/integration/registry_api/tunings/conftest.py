# SPDX-License-Identifier: Apache-2.0
"""Gives the tests of this folder a registry with a worker that measures for two seconds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry_api.settings.worker import TuningSettings, WorkerSettings
from tests.integration.registry_api.bench import Bench, open_bench

OWN = WorkerSettings(tunings=TuningSettings(budget_seconds=2.0))


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    async with open_bench(tmp_path / "home", OWN) as bench:
        yield bench
