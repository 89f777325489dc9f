# SPDX-License-Identifier: Apache-2.0
"""Gives the tests of this folder a registry with a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from registry_api.settings.worker import WorkerSettings
from tests.integration.registry_api.bench import Bench, open_bench


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    """Its home is hidden, as the default one is."""
    async with open_bench(tmp_path / ".home", WorkerSettings()) as bench:
        yield bench
