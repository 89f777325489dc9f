# SPDX-License-Identifier: Apache-2.0
"""Checks API keys against the database, remembering good ones for a moment.

A key revoked or rotated here changes at once; one changed by another process when its entry ends. Expiry, of a key and of the
secret it had before it was rotated, is checked on every use. Keys that failed are not remembered: guessing must not fill
memory.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from core.clock import Clock
from core.errors import AuthError, ErrorCode
from registry_api.db.session import EVERY_TENANT, Database
from registry_api.http.auth import Principal
from registry_api.tenancy.credentials import Credential, parse
from registry_api.tenancy.repository import find_credential
from registry_api.tenancy.uses import KeyUses
from registry_api.tenancy.values import ApiKey, StoredKey

_REMEMBERED: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    key: ApiKey
    previous: bool  # whether what was shown is the secret before the last rotation

    def usable(self, now: datetime) -> bool:
        key = self.key
        replaced = self.previous and (key.previous_until is None or key.previous_until <= now)
        return key.usable(now) and not replaced

    @property
    def ends(self) -> datetime | None:
        """When what was shown opens nothing any more; None: never by itself."""
        moments = (self.key.expires_at, self.key.previous_until if self.previous else None)
        return min((moment for moment in moments if moment is not None), default=None)

    def replaced_since(self, moment: datetime, now: datetime) -> bool:
        """Whether the secret that the key had at some moment has ended by rotation."""
        until = self.key.previous_until
        return until is not None and moment < until <= now


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    found: _Found
    until: float  # monotonic seconds


class KeyAuthenticator:
    """Implements :class:`registry_api.http.auth.Authenticator` for API keys.

    Args:
        db: Where keys are.
        clock: For expiry and for the age of remembered keys.
        cache_seconds: How long a good key is remembered; 0 asks the database every time.
        uses: Told of each use; None: nobody is.
    """

    def __init__(self, db: Database, clock: Clock, *, cache_seconds: float, uses: KeyUses | None = None) -> None:
        self._db = db
        self._clock = clock
        self._cache_seconds = cache_seconds
        self._uses = uses
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()  # by hash: no secret is kept in memory

    async def authenticate(self, credential: str) -> Principal:
        """The caller behind ``credential``.

        Raises:
            AuthError: ``AUTH_002`` if it is unknown, expired or revoked; which of them is not told.
        """
        slot = hashlib.sha256(credential.encode(errors="replace")).digest()
        found = self._remembered(slot)
        if found is None:
            found = await self._look_up(credential)
            self._remember(slot, found)
        if found is None or not found.usable(self._clock.now()):
            raise AuthError(ErrorCode.AUTH_INVALID, "The API key is unknown, expired or revoked. Use another one.")
        return replace(self._used(found.key), expires_at=found.ends)

    async def in_force(self, key_id: str, *, since: datetime) -> bool:
        """Whether the key of that id, with the secret it had then, opens anything now. Counts as a use.

        Args:
            key_id: That a token was made with.
            since: When it was made. A secret made in an overlap counts as the one that ends with it.
        """
        slot = key_id.encode()  # no hash of a credential is as short
        found = self._remembered(slot)
        if found is None:
            async with self._db.read(EVERY_TENANT) as session:
                stored = await find_credential(session, key_id)
            found = None if stored is None else _Found(key=stored.key, previous=False)
            self._remember(slot, found)
        now = self._clock.now()
        if found is None or not found.usable(now) or found.replaced_since(since, now):
            return False
        self._used(found.key)
        return True

    def forget(self, key_id: str) -> None:
        """Makes a change of a key count at once in this process."""
        for slot in [slot for slot, entry in self._entries.items() if entry.found.key.id == key_id]:
            del self._entries[slot]

    def _used(self, key: ApiKey) -> Principal:
        if self._uses is not None:
            self._uses.note(key.id)
        return Principal(tenant=key.tenant, key_id=key.id, name=key.name, roles=key.roles, expires_at=key.expires_at)

    async def _look_up(self, text: str) -> _Found | None:
        credential = parse(text)
        if credential is None:
            return None
        async with self._db.read(EVERY_TENANT) as session:
            found = await find_credential(session, credential.id)
        return _checked(credential, found)

    def _remembered(self, slot: bytes) -> _Found | None:
        entry = self._entries.get(slot)
        if entry is None or self._clock.monotonic() < entry.until:
            return None if entry is None else entry.found
        del self._entries[slot]
        return None

    def _remember(self, slot: bytes, found: _Found | None) -> None:
        if found is None or self._cache_seconds <= 0:
            return
        self._entries[slot] = _Entry(found=found, until=self._clock.monotonic() + self._cache_seconds)
        if len(self._entries) > _REMEMBERED:
            self._entries.popitem(last=False)


def _checked(credential: Credential, stored: StoredKey | None) -> _Found | None:
    """Compares with both secrets, whichever it is and whether there are any, so that the time taken tells nothing."""
    current = credential.matches(None if stored is None else stored.secret_hash)
    previous = credential.matches(None if stored is None else stored.previous_hash)
    return _Found(key=stored.key, previous=not current) if stored is not None and (current or previous) else None
