# SPDX-License-Identifier: Apache-2.0
"""The secrets that deliveries are signed with. They must be usable, so they are stored, not hashed.

A secret is 32 random bytes, shown once as ``whsec_<base64>`` (Standard Webhooks). Where encryption at rest is on, it is
stored wrapped by the tenant's key encryption key; otherwise as it is, protected by whatever protects the database.
"""

from __future__ import annotations

import base64
import secrets
from dataclasses import dataclass
from typing import Final

from artifacts.encryption.keys import KeyWrapper
from core.errors import ErrorCode, Unavailable

_PREFIX: Final = "whsec_"
_BYTES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSecret:
    """A secret as the database holds it."""

    data: bytes
    key_id: str | None  # the key that wraps it; None: it is not wrapped


class SecretKeeper:
    """Turns secrets into what is stored, and back.

    Args:
        wrapper: Of the keys of encryption at rest; None: there are none here.
        encrypt: Whether encryption at rest is on. What is stored already is read either way.
    """

    def __init__(self, wrapper: KeyWrapper | None = None, *, encrypt: bool = False) -> None:
        self._wrapper = wrapper
        self._encrypt = encrypt

    async def keep(self, tenant: str, secret: bytes) -> StoredSecret:
        """What to store.

        Raises:
            Unavailable: If the tenant's key cannot be used at the moment.
        """
        if self._wrapper is None or not self._encrypt:
            return StoredSecret(data=secret, key_id=None)
        while True:
            key_id = await self._wrapper.key_id(tenant)
            wrapped = await self._wrapper.wrap(tenant, secret)
            if await self._wrapper.key_id(tenant) == key_id:  # else it was rotated meanwhile
                return StoredSecret(data=wrapped, key_id=key_id)

    async def reveal(self, tenant: str, stored: StoredSecret) -> bytes:
        """The secret itself.

        Raises:
            Unavailable: If the tenant's key cannot be used at the moment.
            StoreError: ``STORE_003`` if that key does not exist any more.
        """
        if stored.key_id is None:
            return stored.data
        if self._wrapper is None:
            raise Unavailable(
                ErrorCode.STORE_UNAVAILABLE,
                "A webhook's secret is encrypted and this process has no keys. Switch encryption at rest on here too.",
            )
        return await self._wrapper.unwrap(tenant, stored.key_id, stored.data)


def new_secret() -> bytes:
    """256 random bits."""
    return secrets.token_bytes(_BYTES)


def shown(secret: bytes) -> str:
    """The secret as its owner gets it."""
    return _PREFIX + base64.b64encode(secret).decode("ascii")
