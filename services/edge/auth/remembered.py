# SPDX-License-Identifier: Apache-2.0
"""Turning a credential into a principal without asking for each request.

``RememberedAuth`` asks a directory who a credential belongs to and uses the answer for ``fresh_s``: a revoked credential
stops working within that time, an expired one at once. The age of an answer counts from when it was asked for. A
credential in use is asked about again when half of that time is over, beside the requests, so that none of them waits;
one that is not used is not asked about. What cannot be a credential is refused without asking. Refusals are remembered as
well, apart from the good answers: neither can a client with a wrong key load the directory, nor can random keys push out
good ones. When the directory cannot be reached, known credentials keep working for ``grace_s`` but never beyond their
expiry, without asking for each request, and unknown ones get a retryable error.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from core.clock import Clock
from core.errors import AuthError, ErrorCode, FuroshikiError, Unavailable
from core.questions import Questions
from services.edge.auth.interface import Directory, credential_of, invalid, legal, required
from services.edge.context import Principal

_MOST_CREDENTIALS: Final = 10_000
_MOST_REFUSALS: Final = 1_000

_Entry = TypeVar("_Entry")


class _Known:
    __slots__ = ("ahead_at", "fresh_until", "principal", "usable_until")

    def __init__(self, principal: Principal, *, ahead_at: float, fresh_until: float, usable_until: float) -> None:
        self.principal = principal
        self.ahead_at = ahead_at  # who uses it after this moment of the monotonic clock has it asked about again
        self.fresh_until = fresh_until  # used without waiting before this moment
        self.usable_until = usable_until  # used before this moment while the directory cannot be reached


class _Refused:
    __slots__ = ("error", "fresh_until")

    def __init__(self, error: AuthError, fresh_until: float) -> None:
        self.error = error
        self.fresh_until = fresh_until


class RememberedAuth:
    """Credentials, checked against a directory and remembered.

    Args:
        directory: Knows whom a credential belongs to.
        clock: For the age of an answer and the expiry of a credential.
        fresh_s: Seconds an answer is used without waiting for another.
        grace_s: Seconds a positive answer is used while the directory cannot be reached.
    """

    def __init__(self, directory: Directory, *, clock: Clock, fresh_s: float = 5.0, grace_s: float = 300.0) -> None:
        self._directory = directory
        self._clock = clock
        self._monotonic = clock.monotonic
        self._fresh_s = fresh_s
        self._grace_s = grace_s
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._refused: OrderedDict[bytes, _Refused] = OrderedDict()
        self._questions: Questions[bytes, Principal | AuthError] = Questions()

    def known(self, headers: Mapping[bytes, bytes]) -> Principal | None:
        credential = headers.get(b"x-api-key") or credential_of(headers)
        known = self._known.get(credential)
        if known is None:
            return None
        now = self._monotonic()
        if now < known.ahead_at:
            return known.principal
        if now >= known.fresh_until:
            return None
        known.ahead_at = known.fresh_until  # asked once; if no answer comes, a request has to wait for one then
        self._questions.start(credential, partial(self._ask, credential))
        return known.principal

    async def authenticate(self, headers: Mapping[bytes, bytes]) -> Principal:
        principal = self.known(headers)
        if principal is not None:
            return principal
        credential = credential_of(headers)
        if not credential:
            raise required()
        if not legal(credential):
            raise invalid()
        return await self._look_up(credential)

    async def _look_up(self, credential: bytes) -> Principal:
        refused = self._refused.get(credential)
        if refused is not None and self._monotonic() < refused.fresh_until:
            answer: Principal | AuthError = refused.error
        else:
            answer = await self._questions.ask(credential, partial(self._ask, credential))
        if isinstance(answer, AuthError):
            raise AuthError(answer.code, answer.message)  # each caller its own: a shared one would gather tracebacks
        return answer

    async def _ask(self, credential: bytes) -> Principal | AuthError:
        asked_at = self._monotonic()
        try:
            found = await self._directory.whoami(credential.decode("ascii"))
        except AuthError as refusal:
            return self._refuse(credential, refusal)
        except FuroshikiError:
            return self._stale(credential)
        left = self._seconds_left(found.expires_at)
        if left <= 0:
            return self._refuse(credential, invalid())
        expiry = self._monotonic() + left
        fresh_until = min(asked_at + self._fresh_s, expiry)
        entry = _Known(
            found.principal,
            ahead_at=min(asked_at + self._fresh_s / 2, fresh_until),
            fresh_until=fresh_until,
            usable_until=min(asked_at + self._fresh_s + self._grace_s, expiry),
        )
        self._refused.pop(credential, None)
        _keep(self._known, credential, entry, most=_MOST_CREDENTIALS)
        return found.principal

    def _seconds_left(self, expires_at: datetime | None) -> float:
        return math.inf if expires_at is None else (expires_at - self._clock.now()).total_seconds()

    def _refuse(self, credential: bytes, error: AuthError) -> AuthError:
        self._known.pop(credential, None)
        _keep(self._refused, credential, _Refused(error, self._monotonic() + self._fresh_s), most=_MOST_REFUSALS)
        return error

    def _stale(self, credential: bytes) -> Principal:
        known = self._known.get(credential)
        now = self._monotonic()
        if known is None or known.usable_until <= now:
            raise Unavailable(
                ErrorCode.STORE_UNAVAILABLE, "Nobody can tell whose credential this is now.", retry_after=1.0
            )
        known.fresh_until = min(now + self._fresh_s, known.usable_until)
        known.ahead_at = min(now + self._fresh_s / 2, known.fresh_until)
        return known.principal


def _keep(entries: OrderedDict[bytes, _Entry], credential: bytes, entry: _Entry, *, most: int) -> None:
    """Remembers; beyond ``most`` the one that was not looked up for longest is forgotten."""
    entries[credential] = entry
    entries.move_to_end(credential)
    if len(entries) > most:
        entries.popitem(last=False)
