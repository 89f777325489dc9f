# SPDX-License-Identifier: Apache-2.0
"""Brings the request log to its sink, beside the requests.

Rules. Batches go out in order, each until it is taken: a batch that is sent again keeps its id, and the registry counts it
once. So many batches wait for a sink that is away; beyond them the newest entries are dropped and counted. A stop delivers
what is there once more and waits no longer than it is told to.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import Final

import httpx

from core.errors import TransientError
from core.telemetry.logs import get_logger
from services.dataplane.requestlog.batches import MOST_ENTRIES, Batch, batch_of
from services.dataplane.requestlog.interface import NotTaken, Sink
from services.dataplane.requestlog.log import RequestLog

_MOST_BATCHES: Final = 50  # that wait
_LONGEST_PAUSE_S: Final = 30.0
_LAST_S: Final = 5.0  # for what is there at a stop

_log = get_logger(__name__)


class Delivery:
    """Takes entries out of a log and puts them into a sink.

    Args:
        log: Where entries are noted.
        sink: Where they go.
        flush_s: Seconds between two deliveries.
    """

    def __init__(self, log: RequestLog, sink: Sink, *, flush_s: float) -> None:
        self.log: Final = log
        self._sink = sink
        self._flush_s = flush_s
        self._waiting: deque[Batch] = deque()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Delivers from now on, on the running loop."""
        self._task = asyncio.create_task(self._run(), name="request-log")

    async def close(self) -> None:
        """Delivers what is there, for some seconds, and ends. May be called twice."""
        if self._task is not None:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task
            self._task = None
            with suppress(TimeoutError):
                async with asyncio.timeout(_LAST_S):
                    await self.flush()
            self._drop()
        await self._sink.close()

    async def flush(self) -> bool:
        """Delivers what there is; False if the sink is away."""
        await self._collect()
        while self._waiting:
            batch = self._waiting[0]
            try:
                await self._sink.put(batch)
            except NotTaken as error:
                _log.error("request_log_refused", entries=len(batch.requests), error=str(error))
                self.log.drop(len(batch.requests))
            except (OSError, httpx.HTTPError, TransientError) as error:
                _log.warning("request_log_not_delivered", waiting=len(self._waiting), error=str(error))
                return False
            self._waiting.popleft()
        return True

    async def _run(self) -> None:
        pause = self._flush_s
        while True:
            await asyncio.sleep(pause)
            delivered = await self.flush()
            pause = self._flush_s if delivered else min(2 * pause, max(_LONGEST_PAUSE_S, self._flush_s))

    async def _collect(self) -> None:
        entries = self.log.take()
        for start in range(0, len(entries), MOST_ENTRIES):
            some = entries[start : start + MOST_ENTRIES]
            if len(self._waiting) >= _MOST_BATCHES:
                self.log.drop(len(some))
                continue
            self._waiting.append(batch_of(some))
            await asyncio.sleep(0)  # requests go first

    def _drop(self) -> None:
        lost = sum(len(batch.requests) for batch in self._waiting)
        if lost:
            _log.warning("request_log_lost", entries=lost)
        self._waiting.clear()
