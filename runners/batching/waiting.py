# SPDX-License-Identifier: Apache-2.0
"""From a callback to a coroutine: a request that was submitted is awaited, and cancelled with who awaits it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol, TypeVar

from core.inference import InferenceRequest

Result = TypeVar("Result")


class Ticket(Protocol):
    """A request that was submitted."""

    def cancel(self) -> None:
        """Nobody waits any more: it leaves the queue uncomputed. May be called twice, and after the end."""
        ...


async def wait_for(
    submit: Callable[[InferenceRequest, Callable[[Result | Exception], None]], Ticket], request: InferenceRequest
) -> Result:
    """Submits and waits.

    Raises:
        Exception: What ``submit`` raised, or what the request ended with.
    """
    future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()

    def done(outcome: Result | Exception) -> None:
        if future.done():
            return
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)

    ticket = submit(request, done)
    try:
        return await future
    except asyncio.CancelledError:
        ticket.cancel()
        raise
