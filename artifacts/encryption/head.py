# SPDX-License-Identifier: Apache-2.0
"""The head of an encrypted object: what it is, how long, and its wrapped data key. docs/reference/encryption-format.md.

    offset  bytes  field (numbers are big endian)
    0       8      "FUROSEAL"
    8       1      format version, 1
    9       1      algorithm, 1: AES-256-GCM
    10      4      C, bytes of plaintext in every chunk but the last
    14      8      S, bytes of plaintext
    22      16     object id, random
    38      2      K, bytes of the key id
    40      K      id of the key that wrapped the data key, UTF-8
    40+K    2      W, bytes of the wrapped data key
    42+K    W      wrapped data key, as the key wrapper made it
    42+K+W  32     HMAC-SHA-256 over all bytes before, with a key derived from the data key

The code binds tenant and subject too, so a head is good for one object of one tenant only. It is made anew when the data key
is wrapped by another key; everything before K stays.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final

from core.errors import ErrorCode, StoreError

MAGIC: Final = b"FUROSEAL"
VERSION: Final = 1
AES_256_GCM: Final = 1
ID_BYTES: Final = 16
MAC_BYTES: Final = 32
TAG_BYTES: Final = 16  # of each chunk
MAX_HEAD_BYTES: Final = 16 * 1024
MAX_CHUNK_BYTES: Final = 64 << 20
_FIXED: Final = struct.Struct(">8sBBIQ16sH")
_LENGTH: Final = struct.Struct(">H")


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The fields of a head, without its code."""

    chunk_bytes: int
    size: int  # bytes of plaintext
    object_id: bytes
    key_id: str  # of the key that wrapped the data key
    wrapped: bytes

    @property
    def chunks(self) -> int:
        """How many chunks there are; an empty object has one, of no bytes."""
        return max(1, -(-self.size // self.chunk_bytes))

    @property
    def sealed_size(self) -> int:
        """Bytes of all chunks as they are stored."""
        return self.size + self.chunks * TAG_BYTES

    def encode(self) -> bytes:
        """All bytes but the code."""
        key_id = self.key_id.encode()
        fixed = _FIXED.pack(MAGIC, VERSION, AES_256_GCM, self.chunk_bytes, self.size, self.object_id, len(key_id))
        return fixed + key_id + _LENGTH.pack(len(self.wrapped)) + self.wrapped


def parse_head(data: bytes) -> tuple[Head, bytes, bytes]:
    """Reads a whole head.

    Returns:
        The fields, the bytes the code covers, and the code. Nothing of it is authentic before the code was checked.

    Raises:
        StoreError: ``STORE_003`` if it is not a head of this format.
    """
    try:
        magic, version, algorithm, chunk_bytes, size, object_id, key_length = _FIXED.unpack_from(data)
        at = _FIXED.size
        key_id = data[at : at + key_length].decode()
        (length,) = _LENGTH.unpack_from(data, at + key_length)
    except (struct.error, UnicodeDecodeError):
        raise damaged("its head is cut or garbled") from None
    if (magic, version, algorithm) != (MAGIC, VERSION, AES_256_GCM) or not 0 < chunk_bytes <= MAX_CHUNK_BYTES:
        raise damaged("its head is not of a format that this version reads")
    start = at + key_length + _LENGTH.size
    covered, code = data[: start + length], data[start + length :]
    if len(code) != MAC_BYTES:
        raise damaged("its head has another length than it says")
    head = Head(
        chunk_bytes=chunk_bytes, size=size, object_id=object_id, key_id=key_id, wrapped=data[start : start + length]
    )
    return head, covered, code


def damaged(fault: str) -> StoreError:
    """The error for stored bytes that are not what was encrypted: ``STORE_003``."""
    return StoreError(
        ErrorCode.BLOB_CORRUPT, f"An encrypted object is damaged or was exchanged: {fault}. Restore it from a backup."
    )
