# SPDX-License-Identifier: Apache-2.0
"""Without Redis: nobody is told anything, and everybody has a turn."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from artifacts.coordination.interface import Turn


class Alone:
    """Implements :class:`~artifacts.coordination.interface.Announcer` and ``Turns`` for a process that asks nobody."""

    async def tell(self, tenant: str) -> None:
        """Nobody listens."""

    @asynccontextmanager
    async def take(self, name: str, *, among: int, wait_s: float) -> AsyncIterator[Turn]:  # noqa: ARG002
        yield Turn(None)

    @asynccontextmanager
    async def try_take(self, name: str) -> AsyncIterator[Turn | None]:  # noqa: ARG002
        yield Turn(None)
