# SPDX-License-Identifier: Apache-2.0
"""Wraps data keys with Vault's transit engine: the keys that wrap never leave it.

Every tenant has a key ``<prefix>-kek-<tenant>`` of its own (AES-256-GCM), made at the first use. A key id here is
``<name>:v<version>``; rotation makes a version, and older ones go on unwrapping. A data key that was unwrapped is remembered,
so that what is in use keeps serving while Vault is sealed or away.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from typing import Final

import hvac
from hvac.exceptions import InvalidPath, InvalidRequest

from artifacts.keys.transit import TransitEngine
from artifacts.secrets.connection import VaultConnection
from artifacts.secrets.remembered import Remembered
from core.clock import Clock
from core.errors import ErrorCode, StoreError
from core.refs import parse_name

_FRESH_S: Final = 60.0  # a version is taken for the newest
_KEPT_S: Final = 3600.0  # an unwrapped key is used without asking; longer while Vault is away
_MOST_KEPT: Final = 10_000


class TransitKeyWrapper:
    """A :class:`~artifacts.encryption.keys.KeyWrapper` on Vault.

    Args:
        connection: To Vault.
        clock: For the age of what was learnt.
        mount: Where the transit engine is mounted.
        prefix: Of the names of its keys.
    """

    def __init__(
        self, connection: VaultConnection, clock: Clock, *, mount: str = "transit", prefix: str = "furoshiki"
    ) -> None:
        self._connection = connection
        self._engine = TransitEngine(connection, mount)
        self._mount = mount
        self._prefix = prefix
        self._newest: Remembered[str, int] = Remembered(clock, fresh_s=_FRESH_S)
        self._opened: Remembered[tuple[str, bytes], bytes] = Remembered(clock, fresh_s=_KEPT_S, most=_MOST_KEPT)

    async def key_id(self, tenant: str) -> str:
        """The id of the key that wraps now; made at the first use.

        Raises:
            InitError: ``INIT_001`` if Vault lacks the engine.
            Unavailable: ``STORE_001`` if Vault cannot be reached and nothing is remembered.
        """
        return await asyncio.to_thread(self._key_id, tenant)

    async def wrap(self, tenant: str, data_key: bytes) -> bytes:
        """Wraps a data key with the key that :meth:`key_id` names.

        Raises:
            InitError: ``INIT_001`` if Vault lacks the engine.
            Unavailable: ``STORE_001`` if Vault cannot be reached.
        """
        return await asyncio.to_thread(self._wrap, tenant, data_key)

    async def unwrap(self, tenant: str, key_id: str, wrapped: bytes) -> bytes:
        """The data key.

        Raises:
            StoreError: ``STORE_003`` if that key does not exist or did not wrap this for that tenant.
            Unavailable: ``STORE_001`` if Vault cannot be reached and the key is not remembered.
        """
        return await asyncio.to_thread(self._unwrap, tenant, key_id, wrapped)

    async def rewrap(self, tenant: str, key_id: str, wrapped: bytes) -> bytes:
        """What :meth:`wrap` would give now; the data key is not seen outside Vault.

        Raises:
            StoreError, Unavailable: As :meth:`unwrap`.
        """
        return await asyncio.to_thread(self._rewrap, tenant, key_id, wrapped)

    async def rotate(self, tenant: str) -> str:
        """Makes a new version that wraps from now on; its id. Other processes follow within a minute.

        Raises:
            InitError: ``INIT_001`` if Vault lacks the engine.
            Unavailable: ``STORE_001`` if Vault cannot be reached.
        """
        return await asyncio.to_thread(self._rotate, tenant)

    def _version(self, tenant: str) -> int:
        name = self._name(tenant)

        def ask() -> int:
            self._engine.make(name, "aes256-gcm96")
            return self._engine.newest(name)

        return self._newest.get(name, ask)

    def _key_id(self, tenant: str) -> str:
        return f"{self._name(tenant)}:v{self._version(tenant)}"

    def _wrap(self, tenant: str, data_key: bytes) -> bytes:
        name, version = self._name(tenant), self._version(tenant)

        body = {"plaintext": base64.b64encode(data_key).decode(), "key_version": version}
        what = f"the transit engine {self._mount!r}"
        made = self._connection.demand(lambda client: self._engine.post(client, f"encrypt/{name}", body), what=what)
        return str(made["ciphertext"]).encode()

    def _unwrap(self, tenant: str, key_id: str, wrapped: bytes) -> bytes:
        name, text = self._name(tenant), self._checked(tenant, key_id, wrapped)

        def ask(client: hvac.Client) -> bytes:
            found = self._engine.post(client, f"decrypt/{name}", {"ciphertext": text})
            return base64.b64decode(found["plaintext"], validate=True)

        try:
            return self._opened.get((name, wrapped), lambda: self._connection.call(ask))
        except (InvalidRequest, InvalidPath, binascii.Error):
            raise _damaged(key_id) from None

    def _rewrap(self, tenant: str, key_id: str, wrapped: bytes) -> bytes:
        name, text = self._name(tenant), self._checked(tenant, key_id, wrapped)
        body = {"ciphertext": text, "key_version": self._version(tenant)}
        try:
            made = self._connection.call(lambda client: self._engine.post(client, f"rewrap/{name}", body))
            return str(made["ciphertext"]).encode()
        except (InvalidRequest, InvalidPath):
            raise _damaged(key_id) from None

    def _rotate(self, tenant: str) -> str:
        name = self._name(tenant)
        self._engine.make(name, "aes256-gcm96")
        self._engine.rotate(name)
        self._newest.forget(name)
        return self._key_id(tenant)

    def _checked(self, tenant: str, key_id: str, wrapped: bytes) -> str:
        """The wrapped key as Vault knows it, if it says itself that ``key_id`` wrapped it."""
        name, _, version = key_id.rpartition(":")
        if name != self._name(tenant) or not wrapped.isascii() or not wrapped.startswith(f"vault:{version}:".encode()):
            raise _damaged(key_id)
        return wrapped.decode("ascii")

    def _name(self, tenant: str) -> str:
        return f"{self._prefix}-kek-{parse_name(tenant, what='tenant')}"


def _damaged(key_id: str) -> StoreError:
    return StoreError(
        ErrorCode.BLOB_CORRUPT,
        f"A data key does not unwrap with encryption key {key_id[:80]!r}: it is damaged or belongs to something else.",
    )
