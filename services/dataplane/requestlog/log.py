# SPDX-License-Identifier: Apache-2.0
"""What is noted of each request, at the one place where requests end.

Rules. Noting costs one tuple and never waits. Which requests are noted is up to the tenant: none, a share of them, or all;
of a tenant of which some are noted, every failure is. What does not fit is counted and forgotten, the newest first: a
registry that is away costs entries, never requests. A tuple holds numbers and names only, so it keeps no tensor alive.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Final, TypeAlias

from core.features import Feature
from core.inference import InferenceRequest
from core.telemetry.hot import Tally
from core.telemetry.metrics import REQUEST_LOG_DROPPED
from runners.batching.waiting import Ticket
from runners.batching.work import Work
from runners.cache import LoadedModel
from services.edge.context import Principal

Entry: TypeAlias = tuple[
    float,  # its end, seconds since the epoch
    str,  # tenant
    str,  # key id
    LoadedModel,
    str | None,  # request id; None: refused before it was read
    str,  # 'ok', 'cancelled' or an error code
    str,  # protocol
    int,  # rows
    float,  # seconds from the decoded request to its result
    float | None,  # seconds until its batch began; None: not known
    float | None,  # seconds of its batch that are its share; None: not known
    float,  # how many requests it stands for
]

OK: Final = "ok"
_SOME: Final = str(Feature.REQUESTS_LOG)
_ALL: Final = str(Feature.REQUESTS_LOG_ALL)


class RequestLog:
    """The entries of this process that were not delivered yet.

    Args:
        share: Of the requests of a tenant that does not ask for all, in [0, 1]; 0: none, not even failures.
        capacity: The most entries that wait.
        now: Wall time, seconds since the epoch.
        draw: Chance, of [0, 1).
    """

    def __init__(
        self,
        *,
        share: float,
        capacity: int,
        now: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._share = share
        self._weight = 1 / share if share else 0.0
        self._capacity = capacity
        self._now = now
        self._draw = draw
        self._dropped = Tally(REQUEST_LOG_DROPPED)
        self._entries: list[Entry] = []

    def __len__(self) -> int:
        return len(self._entries)

    def take(self) -> list[Entry]:
        """What was noted since the last time, oldest first."""
        entries, self._entries = self._entries, []
        return entries

    def drop(self, count: int) -> None:
        """Counts entries that will not be delivered."""
        self._dropped.add(count)

    def refused(self, principal: Principal, model: LoadedModel, code: str, protocol: str) -> None:
        """Notes a request that was not let in."""
        if _ALL in principal.features or (self._share and _SOME in principal.features):
            self._note((self._now(), *_of(principal), model, None, code, protocol, 0, 0.0, None, None, 1.0))

    def ended(
        self,
        principal: Principal,
        model: LoadedModel,
        request: InferenceRequest | None,
        ticket: Ticket | None,
        *,
        code: str,
        protocol: str,
        started: float,
        seconds: float,
    ) -> None:
        """Notes a request that ended, unless chance or its tenant is against it.

        Args:
            principal: Who asked.
            model: What answered.
            request: None: it could not be decoded.
            ticket: Of the queue; None: it was not queued.
            code: ``ok``, or the code of its error.
            protocol: The edge it came through.
            started: On the performance counter.
            seconds: From there to its end.
        """
        weight = 1.0
        if _ALL not in principal.features:
            if not self._share or _SOME not in principal.features:
                return
            if code == OK:
                if self._share < 1 and self._draw() >= self._share:
                    return
                weight = self._weight
        waited = computed = request_id = None
        rows = 0
        if request is not None:
            request_id = request.request_id
            if isinstance(ticket, Work):
                rows = ticket.rows
                batch = ticket.batch
                if batch is not None and batch.began:
                    waited = batch.began - started
                    computed = batch.seconds * rows / batch.rows
            else:
                rows = _rows(request)
        self._note(
            (
                self._now(),
                principal.tenant,
                principal.key_id,
                model,
                request_id,
                code,
                protocol,
                rows,
                seconds,
                waited,
                computed,
                weight,
            )
        )

    def _note(self, entry: Entry) -> None:
        if len(self._entries) >= self._capacity:
            self._dropped.add()
        else:
            self._entries.append(entry)


def _of(principal: Principal) -> tuple[str, str]:
    return principal.tenant, principal.key_id


def _rows(request: InferenceRequest) -> int:
    for array in request.inputs.values():
        return int(array.shape[0]) if array.ndim else 1
    return 0
