# SPDX-License-Identifier: Apache-2.0
"""Everything here runs on the engine of this package only."""

from __future__ import annotations

import pytest


@pytest.fixture
def engine() -> str:
    return "http2"
