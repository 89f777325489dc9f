# SPDX-License-Identifier: Apache-2.0
"""Checks API keys against the database, remembering good ones for a few seconds.

A key revoked here stops at once; one revoked by another process stops when its entry ends, at most five seconds later.
Expiry is checked on every use. Keys that failed are not remembered: guessing must not fill memory.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from core.clock import Clock
from core.errors import AuthError, ErrorCode
from registry_api.db.session import Database
from registry_api.http.auth import Principal
from registry_api.tenancy.credentials import Credential, parse
from registry_api.tenancy.repository import find_credential
from registry_api.tenancy.values import ApiKey

_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    key: ApiKey
    until: float  # monotonic seconds


class KeyAuthenticator:
    """Implements :class:`registry_api.http.auth.Authenticator` for API keys.

    Args:
        db: Where keys are.
        clock: For expiry and for the age of remembered keys.
        cache_seconds: How long a good key is remembered; 0 asks the database every time.
    """

    def __init__(self, db: Database, clock: Clock, *, cache_seconds: float) -> None:
        self._db = db
        self._clock = clock
        self._cache_seconds = cache_seconds
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()  # by hash: no secret is kept in memory

    async def authenticate(self, credential: str) -> Principal:
        """The caller behind ``credential``.

        Raises:
            AuthError: ``AUTH_002`` if it is unknown, expired or revoked; which of them is not told.
        """
        slot = hashlib.sha256(credential.encode(errors="replace")).digest()
        entry = self._entries.get(slot)
        if entry is not None and self._clock.monotonic() < entry.until:
            key: ApiKey | None = entry.key
        else:
            self._entries.pop(slot, None)
            key = await self._look_up(credential)
            if key is not None:
                self._remember(slot, key)
        if key is None or not key.usable(self._clock.now()):
            raise AuthError(ErrorCode.AUTH_INVALID, "The API key is unknown, expired or revoked. Use another one.")
        return Principal(tenant=key.tenant, key_id=key.id, name=key.name, roles=key.roles, expires_at=key.expires_at)

    def forget(self, key_id: str) -> None:
        """Makes a revoked key stop at once in this process."""
        for slot in [slot for slot, entry in self._entries.items() if entry.key.id == key_id]:
            del self._entries[slot]

    async def _look_up(self, text: str) -> ApiKey | None:
        credential = parse(text)
        if credential is None:
            return None
        async with self._db.read() as session:
            found = await find_credential(session, credential.id)
        return _checked(credential, found)

    def _remember(self, slot: bytes, key: ApiKey) -> None:
        if self._cache_seconds <= 0:
            return
        self._entries[slot] = _Entry(key=key, until=self._clock.monotonic() + self._cache_seconds)
        if len(self._entries) > _REMEMBERED:
            self._entries.popitem(last=False)


def _checked(credential: Credential, found: tuple[ApiKey, str] | None) -> ApiKey | None:
    key, stored = found if found is not None else (None, None)
    return key if credential.matches(stored) else None
