# SPDX-License-Identifier: Apache-2.0
"""Random moments from a printed seed, and the settings of what is broken."""

from __future__ import annotations

import os
import random
from collections.abc import Mapping
from typing import Final

import pytest

from registry_api.settings.storage import DatabaseSettings

SEED_VARIABLE: Final = "FUROSHIKI_TEST_SEED"


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """Decides when things are broken. A failure shows the seed; the same seed breaks them at the same moments."""
    seed = int(os.environ.get(SEED_VARIABLE) or random.SystemRandom().getrandbits(32))
    print(f"{request.node.name}: {SEED_VARIABLE}={seed}")
    return random.Random(seed)


@pytest.fixture
def environment(database: DatabaseSettings) -> Mapping[str, str]:
    """Settings of a registry's processes that keep their rows in each kind of database in turn."""
    if database.url is None or database.owner_url is None:
        return {}
    return {"FUROSHIKI_DATABASE__URL": database.url, "FUROSHIKI_DATABASE__OWNER_URL": database.owner_url}
