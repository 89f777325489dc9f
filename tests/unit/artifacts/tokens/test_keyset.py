# SPDX-License-Identifier: Apache-2.0
"""An issuer's keys: remembered, rotated, fetched seldom, and used a while without their source."""

from __future__ import annotations

import asyncio

import pytest

from artifacts.tokens.jwk import VerifyingKey
from artifacts.tokens.keyset import KeySet, Patience
from artifacts.tokens.keysource import unavailable
from artifacts.tokens.testing import TokenSigner, key_set
from core.clock import ManualClock
from core.errors import Unavailable

PATIENCE = Patience(fresh_s=300, grace_s=3600, refetch_s=10)
OLD, NEW = TokenSigner("EdDSA", kid="old"), TokenSigner("EdDSA", kid="new")


class Source:
    """A source in memory: may be away or slow, and counts."""

    def __init__(self) -> None:
        self.document = key_set(OLD)
        self.away = False
        self.reads = 0
        self.open = asyncio.Event()
        self.open.set()

    async def read(self) -> bytes:
        self.reads += 1
        await self.open.wait()
        if self.away:
            raise unavailable("away")
        return self.document


@pytest.fixture
async def source() -> Source:
    return Source()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def keys(source: Source, clock: ManualClock) -> KeySet:
    return KeySet(source, name="corp", clock=clock, patience=PATIENCE)


async def found(keys: KeySet, kid: str | None) -> VerifyingKey | None:
    return await keys.find(kid, "EdDSA")


async def settled() -> None:
    """Lets what was started beside the requests end."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_keys_are_fetched_once(keys: KeySet, source: Source, clock: ManualClock) -> None:
    """While they are fresh nobody asks again."""
    for _ in range(10):
        clock.advance(29)
        assert await found(keys, "old")
    assert source.reads == 1


async def test_many_first_requests_wait_for_one_fetch(keys: KeySet, source: Source) -> None:
    """Single flight."""
    source.open.clear()
    waiting = [asyncio.ensure_future(found(keys, "old")) for _ in range(20)]
    await settled()
    source.open.set()
    assert all(await asyncio.gather(*waiting))
    assert source.reads == 1


async def test_a_new_key_is_found_at_its_first_token(keys: KeySet, source: Source, clock: ManualClock) -> None:
    """Rotation: an unknown id has the keys fetched; the old key, no longer listed, is gone."""
    assert await found(keys, "old")
    source.document = key_set(NEW)
    clock.advance(PATIENCE.refetch_s)
    assert await found(keys, "new")
    assert await found(keys, "old") is None
    assert source.reads == 2


async def test_made_up_ids_cause_few_fetches(keys: KeySet, source: Source, clock: ManualClock) -> None:
    """However many unknown ids come, there is one fetch per refetch_s, and good tokens go on meanwhile."""
    for n in range(1000):
        assert await found(keys, f"unknown-{n}") is None
        clock.advance(0.1)
    assert source.reads == 10
    assert await found(keys, "old")


async def test_a_request_joins_the_fetch_under_way(keys: KeySet, source: Source, clock: ManualClock) -> None:
    """A token of the new key that arrives while somebody else's unknown id is being looked for is not refused."""
    await found(keys, "old")
    clock.advance(PATIENCE.refetch_s)
    source.document = key_set(OLD, NEW)
    source.open.clear()
    first = asyncio.ensure_future(found(keys, "made-up"))
    await settled()
    second = asyncio.ensure_future(found(keys, "new"))
    await settled()
    source.open.set()
    assert await first is None
    assert await second


async def test_keys_are_refreshed_beside_the_requests(keys: KeySet, source: Source, clock: ManualClock) -> None:
    """After fresh_s the old keys answer once more while new ones are fetched; then a key taken back is gone."""
    await found(keys, "old")
    clock.advance(PATIENCE.fresh_s + 1)
    source.document = key_set(NEW)
    source.open.clear()
    assert await found(keys, "old")
    source.open.set()
    await settled()
    assert await found(keys, "old") is None
    assert await found(keys, "new")


@pytest.mark.parametrize("broken", [True, False], ids=["no-key-set", "away"])
async def test_the_last_keys_are_used_in_grace(keys: KeySet, source: Source, clock: ManualClock, broken: bool) -> None:
    """While the source is away or sends nonsense, known keys work for grace_s, asked for every refetch_s; then nobody's."""
    await found(keys, "old")
    source.away, source.document = not broken, b"<html>" if broken else source.document
    clock.advance(PATIENCE.fresh_s)
    for _ in range(36):
        clock.advance(100)
        assert await found(keys, "old")
        await settled()
    assert source.reads == 37
    clock.advance(1)
    with pytest.raises(Unavailable) as caught:
        await found(keys, "old")
    assert caught.value.retry_after is not None
    source.away, source.document = False, key_set(OLD)
    clock.advance(1)
    assert await found(keys, "old")


async def test_without_keys_the_source_is_not_asked_for_each_request(
    keys: KeySet, source: Source, clock: ManualClock
) -> None:
    """A source that is away from the start is asked once a second."""
    source.away = True
    for _ in range(100):
        with pytest.raises(Unavailable):
            await found(keys, "old")
        clock.advance(0.1)
    assert source.reads == 10


async def test_two_keys_of_one_id_are_ambiguous(source: Source, keys: KeySet) -> None:
    """An id has to name one key."""
    source.document = key_set(TokenSigner("EdDSA", kid="twin"), TokenSigner("EdDSA", kid="twin"))
    assert await found(keys, "twin") is None
