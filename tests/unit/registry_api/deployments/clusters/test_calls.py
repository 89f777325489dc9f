# SPDX-License-Identifier: Apache-2.0
"""Calls that jobs make in threads: what changes something is waited for, whoever cancels."""

from __future__ import annotations

import asyncio
import threading

import pytest

from registry_api.deployments.clusters.calls import whole


async def test_a_cancelled_change_is_waited_for() -> None:
    """The cancellation arrives when the call has ended, not before."""
    begun, go_on, done = threading.Event(), threading.Event(), threading.Event()

    def call() -> None:
        begun.set()
        go_on.wait(10)
        done.set()

    task = asyncio.create_task(whole(call))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert done.is_set()


async def test_what_a_change_returns_or_raises_comes_back() -> None:
    """As of a plain call."""
    assert await whole(lambda: 3) == 3
    with pytest.raises(ValueError, match="no"):
        await whole(lambda: int("no"))
