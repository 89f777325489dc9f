# SPDX-License-Identifier: Apache-2.0
"""Encrypts and decrypts the chunks of one object, and makes the code of its head. Pure; it knows no store.

From the random 32-byte data key, HKDF-SHA-256 (RFC 5869, no salt) derives one key for chunks and one for the head. A data key
belongs to one object and each chunk is encrypted once, so a nonce may be counted instead of drawn:

    nonce            = last (1 byte: 0 or 1) || 0 0 0 || index (8 bytes)
    associated data  = "furoshiki chunk v1" || len tenant || tenant || len subject || subject
                       || object id || C (4) || S (8) || index (8) || last (1)              lengths in 2 bytes

So a chunk decrypts only at its own place, in its own object, under its own tenant and digest; a cut is seen because the last
chunk is marked and counted.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import struct
from collections.abc import AsyncGenerator, AsyncIterator
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from artifacts.encryption.head import ID_BYTES, TAG_BYTES, Head, damaged

KEY_BYTES: Final = 32
CHUNK_BYTES: Final = 1024 * 1024
"""Plaintext of one chunk. Larger ones are no faster on the machines measured; smaller ones make ranged reads finer and
everything else slower (docs/adr/0014-encryption-at-rest.md)."""

_CHUNK_INFO: Final = b"furoshiki chunk v1"
_HEAD_INFO: Final = b"furoshiki head v1"
_PLACE: Final = struct.Struct(">QB")
_SIZES: Final = struct.Struct(">IQ")
_NONCE: Final = struct.Struct(">B3xQ")


class ObjectCipher:
    """The chunks of one object.

    Args:
        data_key: 32 random bytes that no other object has.
        head: Its sizes and id.
        tenant: Whose it is.
        subject: What it is to hold: a digest, or the name of a part.
    """

    def __init__(self, data_key: bytes, head: Head, *, tenant: str, subject: str) -> None:
        names = b"".join(len(name).to_bytes(2, "big") + name for name in (tenant.encode(), subject.encode()))
        self._bound = names
        self._chunk_data = _CHUNK_INFO + names + head.object_id + _SIZES.pack(head.chunk_bytes, head.size)
        self._gcm = AESGCM(_derive(data_key, _CHUNK_INFO))
        self._head_key = _derive(data_key, _HEAD_INFO)
        self._chunks = head.chunks

    def seal(self, index: int, plaintext: bytes) -> bytes:
        """Encrypts one chunk; each index once in the life of the data key."""
        nonce, bound = self._place(index)
        return self._gcm.encrypt(nonce, plaintext, bound)

    def open(self, index: int, sealed: bytes) -> bytes:
        """Decrypts one chunk.

        Raises:
            StoreError: ``STORE_003`` if it is not that chunk of that object.
        """
        nonce, bound = self._place(index)
        try:
            return self._gcm.decrypt(nonce, sealed, bound)
        except InvalidTag:
            raise damaged(f"chunk {index} does not decrypt") from None

    def code(self, covered: bytes) -> bytes:
        """The code of a head."""
        return hmac.digest(self._head_key, self._bound + covered, "sha256")

    def check(self, covered: bytes, code: bytes) -> None:
        """Checks the code of a head.

        Raises:
            StoreError: ``STORE_003`` if the head is not the one that was written.
        """
        if not hmac.compare_digest(self.code(covered), code):
            raise damaged("its head does not match its code")

    def _place(self, index: int) -> tuple[bytes, bytes]:
        last = int(index == self._chunks - 1)
        return _NONCE.pack(last, index), self._chunk_data + _PLACE.pack(index, last)


def new_object_id() -> bytes:
    """A random object id."""
    return os.urandom(ID_BYTES)


def new_data_key() -> bytes:
    """A random data key."""
    return os.urandom(KEY_BYTES)


async def sealed_chunks(
    cipher: ObjectCipher, head: Head, plaintext: AsyncIterator[bytes]
) -> AsyncGenerator[bytes, None]:
    """Encrypts a stream of exactly ``head.size`` bytes in constant memory."""
    index, held = 0, bytearray()
    async for piece in plaintext:
        held += piece
        while len(held) > head.chunk_bytes:  # the last chunk waits for the end, even if it is full
            chunk = bytes(memoryview(held)[: head.chunk_bytes])
            del held[: head.chunk_bytes]
            yield await asyncio.to_thread(cipher.seal, index, chunk)
            index += 1
    yield await asyncio.to_thread(cipher.seal, index, bytes(held))


async def opened_chunks(
    cipher: ObjectCipher, head: Head, sealed: AsyncIterator[bytes], *, first: int = 0
) -> AsyncIterator[bytes]:
    """Decrypts a stream that begins with chunk ``first`` and ends with the last one, in constant memory.

    Raises:
        StoreError: ``STORE_003`` at the first chunk that is not the right one, or if bytes are missing or left over.
    """
    full, index, held = head.chunk_bytes + TAG_BYTES, first, bytearray()
    async for piece in sealed:
        held += piece
        while len(held) > full:
            chunk = bytes(memoryview(held)[:full])
            del held[:full]
            yield await asyncio.to_thread(cipher.open, index, chunk)
            index += 1
    if index != head.chunks - 1:
        raise damaged(f"it has {index + 1} chunks; expected {head.chunks}")
    yield await asyncio.to_thread(cipher.open, index, bytes(held))


def _derive(data_key: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=info).derive(data_key)
