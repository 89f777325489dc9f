# SPDX-License-Identifier: Apache-2.0
"""A real receiver on loopback."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from registry_api.webhooks.testing import Receiver, open_receiver


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with open_receiver() as receiver:
        yield receiver
