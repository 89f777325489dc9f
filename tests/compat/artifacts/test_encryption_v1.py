# SPDX-License-Identifier: Apache-2.0
"""Encrypted objects of format 1, made once and frozen, still open; and a reader written from the document alone agrees."""

from __future__ import annotations

import hmac
import json
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from artifacts.encryption.cipher import opened_chunks
from artifacts.encryption.keys import FileKeys
from artifacts.encryption.sealing import Sealing
from artifacts.stores.testing import gathered, refused
from core.errors import ErrorCode

FOLDER = Path(__file__).parent / "vectors" / "encryption-v1"
VALID: dict[str, Any] = json.loads((FOLDER / "valid.json").read_text())
REFUSED: list[dict[str, str]] = json.loads((FOLDER / "refused.json").read_text())


@pytest.fixture
def sealing(tmp_path: Path) -> Sealing:
    """With the vectors' encryption key."""
    folder = tmp_path / "acme"
    folder.mkdir(mode=0o700)
    (folder / "current").write_text(VALID["key_id"])
    (folder / f"{VALID['key_id']}.key").write_bytes(bytes.fromhex(VALID["key"]))
    (folder / f"{VALID['key_id']}.key").chmod(0o600)
    return Sealing(FileKeys(tmp_path))


async def opened(sealing: Sealing, head: str, data: str, subject: str) -> bytes:
    async def once() -> AsyncIterator[bytes]:
        yield bytes.fromhex(data)

    found = await sealing.open("acme", subject, bytes.fromhex(head))
    return await gathered(opened_chunks(found.cipher, found.head, once()))


@pytest.mark.parametrize("case", VALID["cases"], ids=lambda case: case["name"])
async def test_what_was_encrypted_opens(sealing: Sealing, case: dict[str, Any]) -> None:
    """The frozen objects give their plaintext."""
    assert (await opened(sealing, case["head"], case["data"], case["subject"])).hex() == case["plaintext"]


@pytest.mark.parametrize("case", REFUSED, ids=lambda case: case["name"])
async def test_what_was_changed_is_refused(sealing: Sealing, case: dict[str, str]) -> None:
    """STORE_003."""
    with refused(ErrorCode.BLOB_CORRUPT):
        await opened(sealing, case["head"], case["data"], VALID["cases"][0]["subject"])


def derived(key: bytes, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=32, salt=None, info=info).derive(key)


@pytest.mark.parametrize("case", VALID["cases"], ids=lambda case: case["name"])
def test_the_document_is_enough_to_read_them(case: dict[str, Any]) -> None:
    """A reader that shares no code with ours, only the document, derives the same keys and opens every chunk."""
    head, data = bytes.fromhex(case["head"]), bytes.fromhex(case["data"])
    magic, version, algorithm, chunk_bytes, size, object_id, key_length = struct.unpack_from(">8sBBIQ16sH", head)
    assert (magic, version, algorithm, object_id.hex()) == (b"FUROSEAL", 1, 1, case["object_id"])
    at = 40 + key_length
    key_id, (length,) = head[40:at].decode(), struct.unpack_from(">H", head, at)
    wrapped = head[at + 2 : at + 2 + length]
    kek_bound = f"furoshiki data key v1\0{case['tenant']}\0{key_id}".encode()
    data_key = AESGCM(bytes.fromhex(VALID["key"])).decrypt(wrapped[:12], wrapped[12:], kek_bound)
    assert data_key.hex() == case["data_key"]
    assert derived(data_key, b"furoshiki chunk v1").hex() == case["chunk_key"]
    names = b"".join(
        len(name).to_bytes(2, "big") + name for name in (case["tenant"].encode(), case["subject"].encode())
    )
    code = hmac.digest(derived(data_key, b"furoshiki head v1"), names + head[: at + 2 + length], "sha256")
    assert code == head[at + 2 + length :]
    chunks, plain = max(1, -(-size // chunk_bytes)), b""
    for index in range(chunks):
        last = int(index == chunks - 1)
        bound = b"furoshiki chunk v1" + names + object_id + struct.pack(">IQQB", chunk_bytes, size, index, last)
        sealed = data[index * (chunk_bytes + 16) : (index + 1) * (chunk_bytes + 16)]
        plain += AESGCM(bytes.fromhex(case["chunk_key"])).decrypt(struct.pack(">B3xQ", last, index), sealed, bound)
    assert plain.hex() == case["plaintext"]
