# SPDX-License-Identifier: Apache-2.0
"""The laws of encryption at rest: what is opened is what was sealed, and nothing else opens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from artifacts.encryption.cipher import opened_chunks, sealed_chunks
from artifacts.encryption.keys import FileKeys
from artifacts.encryption.sealing import Opened, Sealing
from artifacts.stores.testing import chunks_of, gathered
from core.errors import ErrorCode, FuroshikiError, StoreError

CHUNK = 16
PLAIN = st.binary(max_size=5 * CHUNK)


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> FileKeys:
    return FileKeys(tmp_path_factory.mktemp("keys"))


def sealing(keys: FileKeys, chunk: int = CHUNK) -> Sealing:
    return Sealing(keys, chunk_bytes=chunk)


async def sealed(keys: FileKeys, plain: bytes, *, chunk: int = CHUNK, step: int = 7) -> tuple[bytes, bytes]:
    """Head and chunks of ``plain``."""
    begun = await sealing(keys, chunk).begin("acme", "sha256:x", len(plain))
    return begun.encoded, await gathered(sealed_chunks(begun.cipher, begun.head, chunks_of(plain, step)))


async def opened(
    keys: FileKeys, head: bytes, data: bytes, *, tenant: str = "acme", subject: str = "sha256:x", step: int = 11
) -> bytes:
    found = await sealing(keys).open(tenant, subject, head)
    return await gathered(opened_chunks(found.cipher, found.head, _pieces(data, step)))


async def _pieces(data: bytes, step: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), step):
        yield data[start : start + step]


def refuses(keys: FileKeys, head: bytes, data: bytes, *, tenant: str = "acme", subject: str = "sha256:x") -> None:
    with pytest.raises(FuroshikiError) as caught:
        asyncio.run(opened(keys, head, data, tenant=tenant, subject=subject))
    assert isinstance(caught.value, StoreError)
    assert caught.value.code is ErrorCode.BLOB_CORRUPT


@given(plain=PLAIN, chunk=st.integers(1, 40), step=st.integers(1, 50), read=st.integers(1, 50))
@settings(max_examples=60, deadline=None)
def test_open_of_seal_is_the_plaintext(keys: FileKeys, plain: bytes, chunk: int, step: int, read: int) -> None:
    """open(seal(x)) == x, however x is cut into chunks and pieces; the stored length is the one the head tells."""

    async def both() -> tuple[bytes, int, int]:
        head, data = await sealed(keys, plain, chunk=chunk, step=step)
        found = await sealing(keys).open("acme", "sha256:x", head)
        return await opened(keys, head, data, step=read), len(data), found.head.sealed_size

    back, stored, told = asyncio.run(both())
    assert back == plain
    assert stored == told


@given(plain=PLAIN, data=st.data())
@settings(max_examples=60, deadline=None)
def test_any_flipped_bit_is_refused(keys: FileKeys, plain: bytes, data: st.DataObject) -> None:
    """STORE_003 for one flipped bit anywhere in head or chunks."""
    head, body = asyncio.run(sealed(keys, plain))
    whole = bytearray(head + body)
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    whole[bit // 8] ^= 1 << bit % 8
    refuses(keys, bytes(whole[: len(head)]), bytes(whole[len(head) :]))


def test_every_bit_of_a_head_counts(keys: FileKeys) -> None:
    """Each single bit of a head, flipped, is refused."""
    head, body = asyncio.run(sealed(keys, b"models"))
    for bit in range(len(head) * 8):
        flipped = bytearray(head)
        flipped[bit // 8] ^= 1 << bit % 8
        refuses(keys, bytes(flipped), body)


@given(plain=st.binary(min_size=2 * CHUNK + 1, max_size=5 * CHUNK), data=st.data())
@settings(max_examples=40, deadline=None)
def test_cut_swapped_and_repeated_chunks_are_refused(keys: FileKeys, plain: bytes, data: st.DataObject) -> None:
    """Whole chunks removed, exchanged or doubled are found, whichever they are."""
    head, body = asyncio.run(sealed(keys, plain))
    full = CHUNK + 16
    chunks = [body[start : start + full] for start in range(0, len(body), full)]
    at = data.draw(st.integers(0, len(chunks) - 1))
    other = data.draw(st.integers(0, len(chunks) - 1).filter(lambda n: n != at))
    swapped = list(chunks)
    swapped[at], swapped[other] = swapped[other], swapped[at]
    for wrong in (chunks[:at], chunks[:at] + chunks[at + 1 :], swapped, [*chunks, chunks[at]]):
        refuses(keys, head, b"".join(wrong))


@given(plain=st.binary(min_size=1, max_size=3 * CHUNK), cut=st.integers(1, 200))
@settings(max_examples=40, deadline=None)
def test_a_cut_is_refused(keys: FileKeys, plain: bytes, cut: int) -> None:
    """Any number of bytes missing at the end of the chunks or of the head is found."""
    head, body = asyncio.run(sealed(keys, plain))
    refuses(keys, head, body[: max(0, len(body) - cut)])
    refuses(keys, head[: max(0, len(head) - cut)], body)
    refuses(keys, head, body + b"\0" * cut)


def test_chunks_and_heads_of_other_objects_do_not_fit(keys: FileKeys) -> None:
    """The same bytes sealed twice: chunks of one under the head of the other, another tenant, another digest."""
    first, second = asyncio.run(sealed(keys, b"same" * 20)), asyncio.run(sealed(keys, b"same" * 20))
    refuses(keys, first[0], second[1])
    refuses(keys, *first, subject="sha256:y")
    refuses(keys, *first, tenant="globex")


def test_rewrapping_keeps_the_data_and_changes_the_key(tmp_path: Path) -> None:
    """After rotation a head is made anew: other key and code, same object; a second time there is nothing to do."""
    keys = FileKeys(tmp_path)

    async def walk() -> tuple[bytes, Opened | None, Opened | None]:
        head, body = await sealed(keys, b"models" * 9)
        assert await sealing(keys).rewrap("acme", "sha256:x", head) is None
        new = await keys.rotate("acme")
        changed = await sealing(keys).rewrap("acme", "sha256:x", head)
        assert changed is not None
        assert changed.head.key_id == new
        return (
            await opened(keys, changed.encoded, body),
            changed,
            await sealing(keys).rewrap("acme", "sha256:x", changed.encoded),
        )

    plain, _, again = asyncio.run(walk())
    assert plain == b"models" * 9
    assert again is None
