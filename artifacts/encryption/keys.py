# SPDX-License-Identifier: Apache-2.0
"""Keys that wrap data keys: the port, and keys in files.

    <folder>/<tenant>/current          the id of the key that wraps new data keys
    <folder>/<tenant>/<id>.key         32 random bytes, mode 0600

Every tenant has keys of its own, made at the first use. Rotation makes a new one and keeps the old ones, because objects
wrapped by them stay as they are until they are rewrapped. Losing a key loses every object that it wrapped: back the folder
up, apart from the blobs.
"""

from __future__ import annotations

import asyncio
import os
import re
import stat
from pathlib import Path
from typing import Final, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from artifacts.durable import write_atomically
from core.errors import ErrorCode, InitError, StoreError
from core.refs import parse_name

_KEY_BYTES: Final = 32
_NONCE_BYTES: Final = 12
_ID: Final = re.compile(r"[0-9a-f]{16}")
_CURRENT: Final = "current"


class KeyWrapper(Protocol):
    """Wraps data keys with keys that it keeps. Methods raise ``Unavailable`` while the keys cannot be reached."""

    async def key_id(self, tenant: str) -> str:
        """The id of the key that wraps now; made at the first use."""
        ...

    async def wrap(self, tenant: str, data_key: bytes) -> bytes:
        """Wraps a data key with the key that :meth:`key_id` names at that moment."""
        ...

    async def unwrap(self, tenant: str, key_id: str, wrapped: bytes) -> bytes:
        """The data key.

        Raises:
            StoreError: ``STORE_003`` if that key does not exist or did not wrap this for that tenant.
        """
        ...

    async def rotate(self, tenant: str) -> str:
        """Makes a new key that wraps from now on; returns its id. Older ones go on unwrapping."""
        ...


class FileKeys:
    """A :class:`KeyWrapper` with keys in a private folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def key_id(self, tenant: str) -> str:
        """See :class:`KeyWrapper`."""
        return await asyncio.to_thread(self._current, tenant)

    async def wrap(self, tenant: str, data_key: bytes) -> bytes:
        """See :class:`KeyWrapper`."""
        return await asyncio.to_thread(self._wrap, tenant, data_key)

    async def unwrap(self, tenant: str, key_id: str, wrapped: bytes) -> bytes:
        """See :class:`KeyWrapper`."""
        return await asyncio.to_thread(self._unwrap, tenant, key_id, wrapped)

    async def rotate(self, tenant: str) -> str:
        """See :class:`KeyWrapper`. Killed in between, the old one stays in use."""
        return await asyncio.to_thread(self._make, tenant, replace=True)

    def _wrap(self, tenant: str, data_key: bytes) -> bytes:
        key_id, nonce = self._current(tenant), os.urandom(_NONCE_BYTES)
        key = self._key(tenant, key_id)
        return nonce + AESGCM(key).encrypt(nonce, data_key, _bound(tenant, key_id))

    def _unwrap(self, tenant: str, key_id: str, wrapped: bytes) -> bytes:
        nonce, sealed = wrapped[:_NONCE_BYTES], wrapped[_NONCE_BYTES:]
        try:
            return AESGCM(self._key(tenant, key_id)).decrypt(nonce, sealed, _bound(tenant, key_id))
        except (InvalidTag, ValueError):
            raise StoreError(
                ErrorCode.BLOB_CORRUPT,
                f"A data key does not unwrap with encryption key {key_id!r}: it is damaged or belongs to something else.",
            ) from None

    def _current(self, tenant: str) -> str:
        try:
            found = (self._tenant_folder(tenant) / _CURRENT).read_text(encoding="ascii").strip()
        except FileNotFoundError:
            return self._make(tenant, replace=False)
        if _ID.fullmatch(found) is None:
            raise InitError(
                ErrorCode.INIT_FAILED,
                f"The encryption keys of tenant {tenant!r} cannot be used: 'current' names no key. Restore the folder.",
            )
        return found

    def _make(self, tenant: str, *, replace: bool) -> str:
        folder = self._tenant_folder(tenant)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        key_id = os.urandom(8).hex()
        write_atomically(folder / f"{key_id}.key", os.urandom(_KEY_BYTES), mode=0o600, replace=False)
        won = write_atomically(folder / _CURRENT, f"{key_id}\n".encode(), mode=0o600, replace=replace)
        if not won:  # another process made the first key at the same moment; ours wrapped nothing
            (folder / f"{key_id}.key").unlink()
            return self._current(tenant)
        return key_id

    def _key(self, tenant: str, key_id: str) -> bytes:
        if _ID.fullmatch(key_id) is None:
            raise _unknown(key_id)
        path = self._tenant_folder(tenant) / f"{key_id}.key"
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except FileNotFoundError:
            raise _unknown(key_id) from None
        with os.fdopen(descriptor, "rb") as file:
            mode, key = os.fstat(descriptor).st_mode, file.read(_KEY_BYTES + 1)
        if not stat.S_ISREG(mode) or mode & (stat.S_IRWXG | stat.S_IRWXO) or len(key) != _KEY_BYTES:
            raise InitError(
                ErrorCode.INIT_FAILED,
                f"Encryption key {key_id!r} of tenant {tenant!r} cannot be used; expected a file of 32 bytes, mode 0600.",
                log_context={"path": str(path)},
            )
        return key

    def _tenant_folder(self, tenant: str) -> Path:
        return self._folder / parse_name(tenant, what="tenant")


def _bound(tenant: str, key_id: str) -> bytes:
    return f"furoshiki data key v1\0{tenant}\0{key_id}".encode()


def _unknown(key_id: str) -> StoreError:
    shown = ascii(key_id[:64])
    return StoreError(
        ErrorCode.BLOB_CORRUPT,
        f"Encryption key {shown} is not known here: the object is damaged, or the key was lost. Restore it from a backup.",
        details={"key_id": shown},
    )
