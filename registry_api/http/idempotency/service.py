# SPDX-License-Identifier: Apache-2.0
"""Carries a keyed request out once, and repeats its answer; the package says what is guaranteed."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from fastapi.responses import Response
from starlette.responses import StreamingResponse

from core.clock import Clock
from core.errors import Conflict, ErrorCode, TransientError
from core.telemetry.logs import get_logger
from registry_api.db.session import EVERY_TENANT, Database
from registry_api.http.idempotency.repository import (
    IdempotencyRepository,
    forget_older,
    forget_oldest,
    running,
    tenants_above,
)
from registry_api.http.idempotency.values import PENDING, Answer, Keyed, Pending, Recorded

REPLAYED: Final = "Idempotency-Replayed"
ANSWER_TIME: Final = timedelta(seconds=5)  # between the commit and the keeping of the answer; longer means it was lost

_HEADERS: Final = ("content-type", "etag", "location", "cache-control")  # of an answer that are repeated

_log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyLimits:
    """How long and how much is kept."""

    ttl: timedelta
    tenant_keys: int  # the newest so many of a tenant survive a sweep
    response_bytes: int  # a longer answer is not kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Manner:
    """What repeating means for a route."""

    again: bool  # done again, it gives the same answer: a lost answer is made anew
    secret: bool  # its answer is never kept


class Idempotency:
    """The keyed requests of this process."""

    def __init__(self, db: Database, clock: Clock, limits: IdempotencyLimits) -> None:
        self._db = db
        self._clock = clock
        self._limits = limits
        self._running: set[tuple[str, str, str]] = set()

    async def once(self, keyed: Keyed, manner: Manner, carry_out: Callable[[], Awaitable[Response]]) -> Response:
        """The answer of the first request with this key: carried out now, or kept.

        Raises:
            Conflict: ``IDEMPOTENCY_001`` if the key was used for another request, ``IDEMPOTENCY_003`` if the work is done
                but its answer is not there.
            Unavailable: ``IDEMPOTENCY_002`` if the first request has not ended.
        """
        slot = (keyed.tenant, keyed.route, keyed.key_digest)
        if slot in self._running:
            raise running()
        self._running.add(slot)
        try:
            recorded = await self._recorded(keyed)
            if recorded is not None and (answer := self._repeated(keyed, manner, recorded)) is not None:
                return answer
            return await self._carried_out(keyed, manner, carry_out, again=recorded is not None)
        finally:
            self._running.discard(slot)

    async def _recorded(self, keyed: Keyed) -> Recorded | None:
        async with self._db.read(keyed.tenant) as session:
            recorded = await IdempotencyRepository(session, keyed.tenant).find(keyed)
        if recorded is None or recorded.applied_at + self._limits.ttl > self._clock.now():
            return recorded
        await self._forget(keyed)
        return None

    def _repeated(self, keyed: Keyed, manner: Manner, recorded: Recorded) -> Response | None:
        """The kept answer; None if it is to be made anew."""
        if recorded.fingerprint != keyed.fingerprint:
            raise Conflict(
                ErrorCode.IDEMPOTENCY_MISMATCH,
                "This Idempotency-Key was used for another request of this tenant. Use a new key for each request.",
            )
        if (answer := recorded.answer) is not None:
            headers = {**answer.headers, REPLAYED: "true"}
            return Response(answer.body, status_code=answer.status, headers=headers)
        if self._clock.now() < recorded.applied_at + ANSWER_TIME:
            raise running()
        if manner.again:
            return None
        why = "holds a secret" if manner.secret else "was lost or is too long"
        raise Conflict(
            ErrorCode.IDEMPOTENCY_UNANSWERED,
            f"The request with this Idempotency-Key was carried out, but its answer is not kept: it {why}. "
            "Look at what it made.",
        )

    async def _carried_out(
        self, keyed: Keyed, manner: Manner, carry_out: Callable[[], Awaitable[Response]], *, again: bool
    ) -> Response:
        pending = Pending(keyed=keyed, at=self._clock.now(), applied=again)
        token = PENDING.set(pending)
        try:
            response = await carry_out()
        except BaseException:
            if pending.applied:  # a part of it was done: a repeat finds that out by itself
                await self._forget(keyed)
            raise
        finally:
            pending.open = False
            PENDING.reset(token)
        await self._keep(keyed, None if manner.secret else self._answer(response), pending)
        return response

    def _answer(self, response: Response) -> Answer | None:
        if isinstance(response, StreamingResponse) or len(response.body) > self._limits.response_bytes:
            return None
        headers = {name: response.headers[name] for name in _HEADERS if name in response.headers}
        return Answer(status=response.status_code, headers=headers, body=bytes(response.body))

    async def _keep(self, keyed: Keyed, answer: Answer | None, pending: Pending) -> None:
        try:
            async with self._db.write(keyed.tenant) as session:
                await IdempotencyRepository(session, keyed.tenant).keep(keyed, answer, pending.at)
        except TransientError as error:
            _log.warning("answer_not_kept", tenant=keyed.tenant, route=keyed.route, code=error.code)

    async def _forget(self, keyed: Keyed) -> None:
        async with self._db.write(keyed.tenant) as session:
            await IdempotencyRepository(session, keyed.tenant).forget(keyed)

    async def sweep(self) -> int:
        """Removes what nobody may repeat any more; housekeeping calls it. Returns how many records expired."""
        before, expired = self._clock.now() - self._limits.ttl, 0
        while True:
            async with self._db.write(EVERY_TENANT) as session:
                removed = await forget_older(session, before)
            expired += removed
            if removed == 0:
                break
        async with self._db.read(EVERY_TENANT) as session:
            crowded = await tenants_above(session, self._limits.tenant_keys)
        for tenant in crowded:
            async with self._db.write(tenant) as session:
                await forget_oldest(session, tenant, but=self._limits.tenant_keys)
        return expired
