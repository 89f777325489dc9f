# SPDX-License-Identifier: Apache-2.0
"""Who may start an inspection, and who may wait for one.

Each tenant has a line of its own with a bound of its own, and only the head of a line stands in the line of all. So a tenant
that sends many models holds up itself: another one waits for running children, never for this tenant's queue.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, NoReturn

from core.errors import ErrorCode, Overloaded

_RETRY_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class TurnLimits:
    """How much may run and wait."""

    concurrent: int  # at once
    waiting: int  # of all tenants, those that run included
    tenant_concurrent: int  # of one tenant at once
    tenant_waiting: int  # of one tenant, those that run not included


@dataclass(slots=True, kw_only=True)
class _Line:
    entered: int = 0
    turn: asyncio.Semaphore


class Turns:
    """The lines. Call :meth:`enter`, then wait in :meth:`turn`, then call :meth:`leave`."""

    def __init__(self, limits: TurnLimits) -> None:
        self._limits = limits
        self._turn = asyncio.Semaphore(limits.concurrent)
        self._lines: dict[str, _Line] = {}  # of tenants that run or wait

    def enter(self, tenant: str) -> None:
        """Takes a place at once, or none.

        Raises:
            Overloaded: ``QUEUE_001`` if too many run or wait.
        """
        limits, line = self._limits, self._lines.get(tenant)
        if line is not None and line.entered >= limits.tenant_concurrent + limits.tenant_waiting:
            _full(f"{line.entered} models of this tenant are being inspected or wait for it")
        if sum(each.entered for each in self._lines.values()) >= limits.waiting:
            _full(f"{limits.waiting} models are being inspected or wait for it")
        if line is None:
            line = self._lines[tenant] = _Line(turn=asyncio.Semaphore(limits.tenant_concurrent))
        line.entered += 1

    @asynccontextmanager
    async def turn(self, tenant: str) -> AsyncIterator[None]:
        """Waits for the tenant's turn and holds it; only between :meth:`enter` and :meth:`leave`."""
        async with self._lines[tenant].turn, self._turn:
            yield

    def leave(self, tenant: str) -> None:
        """Gives the place back."""
        line = self._lines[tenant]
        line.entered -= 1
        if line.entered == 0:
            del self._lines[tenant]


def _full(state: str) -> NoReturn:
    raise Overloaded(
        ErrorCode.QUEUE_FULL,
        f"{state}, the most allowed. Complete the upload again later.",
        retry_after=_RETRY_SECONDS,
    )
