# SPDX-License-Identifier: Apache-2.0
"""Turning a credential into a principal, without a round trip per request.

``RegistryAuth`` asks the registry who a credential belongs to and remembers the answer for a few seconds: a revoked key stops
working within that time, an expired one at once. What cannot be a credential is refused without asking. Refusals are
remembered as well, apart from the good answers: neither can a client with a wrong key load the registry, nor can random
keys push out good ones. When the registry cannot be reached, known credentials keep working for ``grace_s`` but never
beyond their expiry, without asking for each request, and unknown ones get a retryable error.
"""

from __future__ import annotations

import math
import re
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final, Protocol, TypeVar

from core.clock import Clock
from core.errors import AuthError, ErrorCode, FuroshikiError, Unavailable
from services.edge.context import Principal
from services.edge.questions import Questions

SCOPES: Final = frozenset({"infer", "admin", "platform-admin"})
_MOST_CREDENTIALS: Final = 10_000
_MOST_REFUSALS: Final = 1_000
_LEGAL: Final = re.compile(rb"[A-Za-z0-9._~+/=-]{8,4096}")

_Entry = TypeVar("_Entry")


class Authenticator(Protocol):
    """Who is asking."""

    async def authenticate(self, headers: Mapping[bytes, bytes]) -> Principal:
        """The principal of a request.

        Raises:
            AuthError: ``AUTH_001`` without a credential, ``AUTH_002`` with an unknown one, ``AUTH_003`` without the scope.
            Unavailable: ``STORE_001`` if nobody can tell at the moment.
            Overloaded: ``QUEUE_001`` if too many credentials are being looked up.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Identified:
    """Whom a credential belongs to, and until when it may be used."""

    principal: Principal
    expires_at: datetime | None  # aware; None: does not expire


class Directory(Protocol):
    """Who a credential belongs to; asked only when the answer is not remembered."""

    async def whoami(self, credential: str) -> Identified:
        """Raises as :meth:`Authenticator.authenticate` does."""
        ...


class OpenAuth:
    """Everybody is one tenant. Only for services that listen on loopback.

    Args:
        tenant: Whose models are served.
    """

    def __init__(self, tenant: str) -> None:
        self._principal = Principal(tenant=tenant, key_id="open")

    async def authenticate(self, headers: Mapping[bytes, bytes]) -> Principal:  # noqa: ARG002
        return self._principal


@dataclass(slots=True)
class _Known:
    principal: Principal
    fresh_until: float  # used without asking before this moment of the monotonic clock
    usable_until: float  # used before this moment while the registry cannot be reached


@dataclass(slots=True)
class _Refused:
    error: AuthError
    fresh_until: float


class RegistryAuth:
    """API keys, checked against the registry and remembered.

    Args:
        directory: Asks the registry.
        clock: For the age of an answer and the expiry of a key.
        fresh_s: Seconds an answer is used without asking again.
        grace_s: Seconds a positive answer is used while the registry cannot be reached.
    """

    def __init__(self, directory: Directory, *, clock: Clock, fresh_s: float = 5.0, grace_s: float = 300.0) -> None:
        self._directory = directory
        self._clock = clock
        self._fresh_s = fresh_s
        self._grace_s = grace_s
        self._known: OrderedDict[bytes, _Known] = OrderedDict()
        self._refused: OrderedDict[bytes, _Refused] = OrderedDict()
        self._questions: Questions[bytes, Principal | AuthError] = Questions()

    async def authenticate(self, headers: Mapping[bytes, bytes]) -> Principal:
        credential = _credential(headers)
        known = self._known.get(credential)
        if known is not None and self._clock.monotonic() < known.fresh_until:
            return known.principal
        return await self._look_up(credential)

    async def _look_up(self, credential: bytes) -> Principal:
        if not _LEGAL.fullmatch(credential):
            raise _invalid()
        refused = self._refused.get(credential)
        if refused is not None and self._clock.monotonic() < refused.fresh_until:
            answer: Principal | AuthError = refused.error
        else:
            answer = await self._questions.ask(credential, partial(self._ask, credential))
        if isinstance(answer, AuthError):
            raise AuthError(answer.code, answer.message)  # each caller its own: a shared one would gather tracebacks
        return answer

    async def _ask(self, credential: bytes) -> Principal | AuthError:
        try:
            found = await self._directory.whoami(credential.decode("ascii"))
        except AuthError as refusal:
            return self._refuse(credential, refusal)
        except FuroshikiError:
            return self._stale(credential)
        left = self._seconds_left(found.expires_at)
        if left <= 0:
            return self._refuse(credential, _invalid())
        now = self._clock.monotonic()
        fresh, usable = min(self._fresh_s, left), min(self._fresh_s + self._grace_s, left)
        self._refused.pop(credential, None)
        _keep(self._known, credential, _Known(found.principal, now + fresh, now + usable), most=_MOST_CREDENTIALS)
        return found.principal

    def _seconds_left(self, expires_at: datetime | None) -> float:
        return math.inf if expires_at is None else (expires_at - self._clock.now()).total_seconds()

    def _refuse(self, credential: bytes, error: AuthError) -> AuthError:
        self._known.pop(credential, None)
        entry = _Refused(error, self._clock.monotonic() + self._fresh_s)
        _keep(self._refused, credential, entry, most=_MOST_REFUSALS)
        return error

    def _stale(self, credential: bytes) -> Principal:
        known = self._known.get(credential)
        now = self._clock.monotonic()
        if known is None or known.usable_until <= now:
            raise Unavailable(
                ErrorCode.STORE_UNAVAILABLE, "The registry cannot be asked about this credential now.", retry_after=1.0
            )
        known.fresh_until = min(now + self._fresh_s, known.usable_until)
        return known.principal


def _keep(entries: OrderedDict[bytes, _Entry], credential: bytes, entry: _Entry, *, most: int) -> None:
    """Remembers; beyond ``most`` the one that was not looked up for longest is forgotten."""
    entries[credential] = entry
    entries.move_to_end(credential)
    if len(entries) > most:
        entries.popitem(last=False)


def _credential(headers: Mapping[bytes, bytes]) -> bytes:
    key = headers.get(b"x-api-key")
    if key is None:
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        key = token.strip() if scheme.lower() == b"bearer" else b""
    if not key:
        raise AuthError(
            ErrorCode.AUTH_REQUIRED, "No credential was sent; send 'X-API-Key' or 'Authorization: Bearer …'."
        )
    return key


def _invalid() -> AuthError:
    return AuthError(ErrorCode.AUTH_INVALID, "The credential is not valid.")
