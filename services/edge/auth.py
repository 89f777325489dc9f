# SPDX-License-Identifier: Apache-2.0
"""Turning a credential into a principal, without a round trip per request.

``RegistryAuth`` asks the registry who a credential belongs to and remembers the answer for a few seconds: a revoked key stops
working within that time. Refusals are remembered as well, so that a client with a wrong key cannot load the registry, and
at most one question per credential is under way. When the registry cannot be reached, known credentials keep working for
``grace_s``, without asking for each request, and unknown ones get a retryable error.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from core.clock import Clock
from core.errors import AuthError, ErrorCode, FuroshikiError, Unavailable
from services.edge.context import Principal

SCOPES: Final = frozenset({"infer", "admin", "platform-admin"})
_MOST_CREDENTIALS: Final = 10_000
_LONGEST_CREDENTIAL: Final = 4096


class Authenticator(Protocol):
    """Who is asking."""

    async def authenticate(self, headers: Mapping[bytes, bytes]) -> Principal:
        """The principal of a request.

        Raises:
            AuthError: ``AUTH_001`` without a credential, ``AUTH_002`` with an unknown one, ``AUTH_003`` without the scope.
            Unavailable: ``STORE_001`` if nobody can tell at the moment.
        """
        ...


class Directory(Protocol):
    """Who a credential belongs to; asked only when the answer is not remembered."""

    async def whoami(self, credential: str) -> Principal:
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
class _Entry:
    answer: Principal | AuthError
    fresh_until: float
    usable_until: float  # while the registry cannot be reached


class RegistryAuth:
    """API keys, checked against the registry and remembered.

    Args:
        directory: Asks the registry.
        clock: For the age of an answer.
        fresh_s: Seconds an answer is used without asking again.
        grace_s: Seconds a positive answer is used while the registry cannot be reached.
    """

    def __init__(self, directory: Directory, *, clock: Clock, fresh_s: float = 5.0, grace_s: float = 300.0) -> None:
        self._directory = directory
        self._clock = clock
        self._fresh_s = fresh_s
        self._grace_s = grace_s
        self._known: OrderedDict[bytes, _Entry] = OrderedDict()
        self._asking: dict[bytes, asyncio.Task[_Entry]] = {}

    async def authenticate(self, headers: Mapping[bytes, bytes]) -> Principal:
        credential = _credential(headers)
        entry = self._known.get(credential)
        if entry is None or entry.fresh_until <= self._clock.monotonic():
            entry = await self._refresh(credential)
        if isinstance(entry.answer, AuthError):
            raise AuthError(entry.answer.code, entry.answer.message)
        return entry.answer

    async def _refresh(self, credential: bytes) -> _Entry:
        task = self._asking.get(credential)
        if task is None:
            task = self._asking[credential] = asyncio.ensure_future(self._ask(credential))
            task.add_done_callback(lambda _: self._asking.pop(credential, None))
        return await asyncio.shield(task)

    async def _ask(self, credential: bytes) -> _Entry:
        answer: Principal | AuthError
        try:
            answer = await self._directory.whoami(credential.decode("ascii"))
        except AuthError as refusal:
            answer = refusal
        except FuroshikiError:
            return self._stale(credential)
        fresh_until = self._clock.monotonic() + self._fresh_s
        entry = _Entry(answer, fresh_until, fresh_until + self._grace_s)
        self._known[credential] = entry
        self._known.move_to_end(credential)
        if len(self._known) > _MOST_CREDENTIALS:
            self._known.popitem(last=False)
        return entry

    def _stale(self, credential: bytes) -> _Entry:
        entry = self._known.get(credential)
        now = self._clock.monotonic()
        if entry is None or entry.usable_until < now or isinstance(entry.answer, AuthError):
            raise Unavailable(
                ErrorCode.STORE_UNAVAILABLE, "The registry cannot be asked about this credential now.", retry_after=1.0
            )
        entry.fresh_until = now + self._fresh_s
        return entry


def _credential(headers: Mapping[bytes, bytes]) -> bytes:
    key = headers.get(b"x-api-key")
    if key is None:
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        key = token.strip() if scheme.lower() == b"bearer" else b""
    if not key:
        raise AuthError(
            ErrorCode.AUTH_REQUIRED, "No credential was sent; send 'X-API-Key' or 'Authorization: Bearer …'."
        )
    if len(key) > _LONGEST_CREDENTIAL or not key.isascii():
        raise AuthError(ErrorCode.AUTH_INVALID, "The credential is not valid.")
    return key
