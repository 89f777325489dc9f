# SPDX-License-Identifier: Apache-2.0
"""Credentials, remembered: for how long, when the registry is away, and within what bounds."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest

from artifacts.testing import refused
from core import questions
from core.clock import ManualClock
from core.errors import AuthError, ErrorCode, FuroshikiError, Overloaded, Unavailable
from services.edge.auth import Identified, RememberedAuth, remembered
from services.edge.context import Principal

FRESH, GRACE = 5.0, 300.0
DOWN = Unavailable(ErrorCode.STORE_UNAVAILABLE, "Down.")


class Keys:
    """A registry in memory: knows some keys, may be away, may be slow, and counts what it is asked."""

    def __init__(self) -> None:
        self.tenants = {"key-acme": "acme", "key-globex": "globex"}
        self.expiry: datetime | None = None
        self.asked: list[str] = []
        self.away: FuroshikiError | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def whoami(self, credential: str) -> Identified:
        self.asked.append(credential)
        await self.open.wait()
        if self.away is not None:
            raise self.away
        if credential not in self.tenants:
            raise AuthError(ErrorCode.AUTH_INVALID, "The credential is not valid.")
        principal = Principal(tenant=self.tenants[credential], key_id=credential)
        return Identified(principal=principal, expires_at=self.expiry)


@pytest.fixture
async def keys() -> Keys:
    return Keys()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def authenticator(keys: Keys, clock: ManualClock) -> RememberedAuth:
    return RememberedAuth(keys, clock=clock, fresh_s=FRESH, grace_s=GRACE)


def key(value: str | bytes) -> dict[bytes, bytes]:
    return {b"x-api-key": value.encode() if isinstance(value, str) else value}


@pytest.mark.parametrize(
    "headers",
    [
        {b"x-api-key": b"key-acme"},
        {b"authorization": b"Bearer key-acme"},
        {b"authorization": b"bearer   key-acme "},
        {b"x-api-key": b"key-acme", b"authorization": b"Bearer key-globex"},
    ],
)
async def test_both_headers_carry_a_credential(authenticator: RememberedAuth, headers: dict[bytes, bytes]) -> None:
    """X-API-Key or Bearer, the scheme in any case; X-API-Key wins."""
    assert (await authenticator.authenticate(headers)).tenant == "acme"


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {b"x-api-key": b""},
        {b"authorization": b"Bearer "},
        {b"authorization": b"Basic a2V5"},
        {b"authorization": b""},
    ],
)
async def test_no_credential_is_auth_001(
    authenticator: RememberedAuth, keys: Keys, headers: dict[bytes, bytes]
) -> None:
    """Nothing, or nothing of a known scheme: AUTH_001, without asking anybody."""
    with refused(ErrorCode.AUTH_REQUIRED):
        await authenticator.authenticate(headers)
    assert keys.asked == []


@pytest.mark.parametrize(
    "value",
    ["schlüssel".encode(), b"\xff" * 8, b"k" * 8193, b"k" * 7, b"key acme", b"key-acme\n", b"key\x00acme", b"key,acme"],
    ids=["utf-8", "bytes", "overlong", "short", "space", "newline", "control", "comma"],
)
async def test_what_cannot_be_a_key_is_auth_002(authenticator: RememberedAuth, keys: Keys, value: bytes) -> None:
    """What no credential looks like is refused without asking, remembering or repeating it."""
    with refused(ErrorCode.AUTH_INVALID):
        await authenticator.authenticate(key(value))
    assert keys.asked == []
    assert not authenticator._known
    assert not authenticator._refused


async def test_an_answer_is_used_while_fresh(authenticator: RememberedAuth, keys: Keys, clock: ManualClock) -> None:
    """Within fresh_s nobody is asked again; after it, once."""
    for seconds in (0.0, 2.0, 2.9, 0.1, 1.0):
        clock.advance(seconds)
        assert (await authenticator.authenticate(key("key-acme"))).tenant == "acme"
    assert keys.asked == ["key-acme"] * 2


async def test_a_revoked_key_stops_working_within_fresh_s(
    authenticator: RememberedAuth, keys: Keys, clock: ManualClock
) -> None:
    """A key that was revoked works until its answer is no longer fresh, and never after."""
    await authenticator.authenticate(key("key-acme"))
    del keys.tenants["key-acme"]
    clock.advance(FRESH - 0.1)
    await authenticator.authenticate(key("key-acme"))
    clock.advance(0.1)
    with refused(ErrorCode.AUTH_INVALID):
        await authenticator.authenticate(key("key-acme"))


async def test_a_refusal_is_remembered(authenticator: RememberedAuth, keys: Keys, clock: ManualClock) -> None:
    """A wrong key is asked about once per fresh_s; a key that was made meanwhile then works."""
    for _ in range(10):
        with refused(ErrorCode.AUTH_INVALID):
            await authenticator.authenticate(key("key-fresh"))
    assert keys.asked == ["key-fresh"]
    keys.tenants["key-fresh"] = "acme"
    clock.advance(FRESH)
    assert (await authenticator.authenticate(key("key-fresh"))).tenant == "acme"


async def test_refusals_are_new_errors(authenticator: RememberedAuth) -> None:
    """Each caller gets an exception of its own: a shared one would gather the tracebacks of all."""
    with pytest.raises(AuthError) as first:
        await authenticator.authenticate(key("wrong-key"))
    with pytest.raises(AuthError) as second:
        await authenticator.authenticate(key("wrong-key"))
    assert first.value is not second.value


async def test_known_keys_survive_an_absent_registry(
    authenticator: RememberedAuth, keys: Keys, clock: ManualClock
) -> None:
    """During grace_s a known key works, an unknown one gets a retryable error, and a refused one is not let in."""
    await authenticator.authenticate(key("key-acme"))
    with refused(ErrorCode.AUTH_INVALID):
        await authenticator.authenticate(key("wrong-key"))
    keys.away = DOWN
    clock.advance(FRESH + GRACE - 0.1)
    assert (await authenticator.authenticate(key("key-acme"))).tenant == "acme"
    for other in ("wrong-key", "key-globex"):
        with pytest.raises(Unavailable) as caught:
            await authenticator.authenticate(key(other))
        assert caught.value.retry_after is not None


async def test_grace_ends(authenticator: RememberedAuth, keys: Keys, clock: ManualClock) -> None:
    """However often a key is used meanwhile, it stops working fresh_s and grace_s after the registry last vouched for it."""
    await authenticator.authenticate(key("key-acme"))
    keys.away = DOWN
    for _ in range(int((FRESH + GRACE) / 10)):
        clock.advance(10)
        await authenticator.authenticate(key("key-acme"))
    clock.advance(10)
    with pytest.raises(Unavailable):
        await authenticator.authenticate(key("key-acme"))


async def test_an_absent_registry_is_not_asked_for_each_request(
    authenticator: RememberedAuth, keys: Keys, clock: ManualClock
) -> None:
    """A registry that hangs or refuses costs one request per fresh_s its wait, not every request."""
    await authenticator.authenticate(key("key-acme"))
    keys.away = DOWN
    clock.advance(FRESH)
    for _ in range(10):
        await authenticator.authenticate(key("key-acme"))
    assert len(keys.asked) == 2
    keys.away = None
    del keys.tenants["key-acme"]
    clock.advance(FRESH)
    with refused(ErrorCode.AUTH_INVALID):
        await authenticator.authenticate(key("key-acme"))


async def test_one_question_at_a_time(authenticator: RememberedAuth, keys: Keys) -> None:
    """Twenty requests with one key ask once; one that goes away leaves the answer to the others."""
    keys.open.clear()
    tasks = [asyncio.ensure_future(authenticator.authenticate(key("key-acme"))) for _ in range(20)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    tasks[0].cancel()
    keys.open.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(result, Principal) for result in results] == [False] + [True] * 19
    assert keys.asked == ["key-acme"]
    assert not authenticator._questions


async def test_what_is_remembered_is_bounded(
    authenticator: RememberedAuth, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound the good key that was not looked up for longest is forgotten, and nothing else."""
    monkeypatch.setattr(remembered, "_MOST_CREDENTIALS", 3)
    keys.tenants = {f"key-{n:04}": "acme" for n in range(5)}
    for name in keys.tenants:
        await authenticator.authenticate(key(name))
    assert list(authenticator._known) == [b"key-0002", b"key-0003", b"key-0004"]
    assert (await authenticator.authenticate(key("key-0000"))).tenant == "acme"


async def test_random_keys_push_out_no_good_ones(
    authenticator: RememberedAuth, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Refusals have a bound of their own: however many there are, a good key stays remembered."""
    monkeypatch.setattr(remembered, "_MOST_REFUSALS", 3)
    await authenticator.authenticate(key("key-acme"))
    for n in range(5):
        with refused(ErrorCode.AUTH_INVALID):
            await authenticator.authenticate(key(f"wrong-{n:04}"))
    assert list(authenticator._refused) == [b"wrong-0002", b"wrong-0003", b"wrong-0004"]
    await authenticator.authenticate(key("key-acme"))
    assert keys.asked.count("key-acme") == 1


async def test_a_key_that_changes_sides_is_remembered_once(
    authenticator: RememberedAuth, keys: Keys, clock: ManualClock
) -> None:
    """A revoked key is a refusal and no longer a good key; a key that was made meanwhile the other way round."""
    await authenticator.authenticate(key("key-acme"))
    del keys.tenants["key-acme"]
    clock.advance(FRESH)
    with refused(ErrorCode.AUTH_INVALID):
        await authenticator.authenticate(key("key-acme"))
    assert (list(authenticator._known), list(authenticator._refused)) == ([], [b"key-acme"])
    keys.tenants["key-acme"] = "acme"
    clock.advance(FRESH)
    await authenticator.authenticate(key("key-acme"))
    assert (list(authenticator._known), list(authenticator._refused)) == ([b"key-acme"], [])


@pytest.mark.parametrize("away", [False, True], ids=["registry-up", "registry-down"])
async def test_an_expired_key_is_not_used(
    authenticator: RememberedAuth, keys: Keys, clock: ManualClock, away: bool
) -> None:
    """A remembered key ends at its expiry, neither fresh nor in grace a moment later, whatever the registry does."""
    keys.expiry = clock.now() + timedelta(seconds=FRESH + 3)
    await authenticator.authenticate(key("key-acme"))
    keys.away = DOWN if away else None
    clock.advance(FRESH + 2.9)
    await authenticator.authenticate(key("key-acme"))
    clock.advance(0.1)
    with refused(ErrorCode.STORE_UNAVAILABLE if away else ErrorCode.AUTH_INVALID):
        await authenticator.authenticate(key("key-acme"))


async def test_an_expiry_within_fresh_s(authenticator: RememberedAuth, keys: Keys, clock: ManualClock) -> None:
    """A key that expires while its answer would be fresh is not used without asking."""
    keys.expiry = clock.now() + timedelta(seconds=1)
    await authenticator.authenticate(key("key-acme"))
    clock.advance(1)
    del keys.tenants["key-acme"]
    with refused(ErrorCode.AUTH_INVALID):
        await authenticator.authenticate(key("key-acme"))


async def test_questions_under_way_are_bounded(
    authenticator: RememberedAuth, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound a new key gets QUEUE_001 at once; those who wait, and known keys, are not disturbed."""
    await authenticator.authenticate(key("key-globex"))
    monkeypatch.setattr(questions, "MOST_QUESTIONS", 2)
    keys.open.clear()
    waiting = [asyncio.ensure_future(authenticator.authenticate(key(name))) for name in ("key-acme", "wrong-key")]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as caught:
        await authenticator.authenticate(key("wrong-more"))
    assert (caught.value.code, caught.value.retry_after) == (ErrorCode.QUEUE_FULL, 1.0)
    assert (await authenticator.authenticate(key("key-globex"))).tenant == "globex"
    keys.open.set()
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    assert [type(answer) for answer in answers] == [Principal, AuthError]


async def test_a_credential_is_in_no_error(authenticator: RememberedAuth) -> None:
    """What was sent as a credential is not repeated."""
    with pytest.raises(AuthError) as caught:
        await authenticator.authenticate(key("s3cr3t-key"))
    assert "s3cr3t" not in repr(caught.value) + caught.value.message + str(caught.value.log_context)


async def test_a_fresh_answer_is_known_at_once(authenticator: RememberedAuth, clock: ManualClock) -> None:
    """Without awaiting, known() gives the principal while it is fresh, and nothing before, after and for nobody."""
    assert authenticator.known(key("key-acme")) is None
    principal = await authenticator.authenticate(key("key-acme"))
    assert authenticator.known(key("key-acme")) is principal
    assert authenticator.known({b"authorization": b"Bearer key-acme"}) is principal
    assert authenticator.known({}) is None
    assert authenticator.known({b"x-api-key": b"\xff"}) is None
    clock.advance(FRESH)
    assert authenticator.known(key("key-acme")) is None


async def answered() -> None:
    """Lets questions that were started come to their end."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_a_key_in_use_is_asked_about_ahead(authenticator: RememberedAuth, keys: Keys, clock: ManualClock) -> None:
    """In the second half of its time one question is asked beside the requests: none of them ever waits again."""
    await authenticator.authenticate(key("key-acme"))
    for _ in range(40):
        clock.advance(FRESH / 4)
        assert authenticator.known(key("key-acme")) is not None
        assert authenticator.known(key("key-acme")) is not None
        await answered()
    assert len(keys.asked) == 21


async def test_a_key_that_is_not_used_is_not_asked_about(
    authenticator: RememberedAuth, keys: Keys, clock: ManualClock
) -> None:
    """Only requests cause questions."""
    await authenticator.authenticate(key("key-acme"))
    clock.advance(FRESH * 10)
    await answered()
    assert keys.asked == ["key-acme"]


async def test_a_key_revoked_in_use_stops_at_the_question_ahead(
    authenticator: RememberedAuth, keys: Keys, clock: ManualClock
) -> None:
    """What the question ahead finds out counts at once."""
    await authenticator.authenticate(key("key-acme"))
    del keys.tenants["key-acme"]
    clock.advance(FRESH / 2)
    assert authenticator.known(key("key-acme")) is not None
    await answered()
    assert authenticator.known(key("key-acme")) is None
    with refused(ErrorCode.AUTH_INVALID):
        await authenticator.authenticate(key("key-acme"))


async def test_a_question_ahead_without_an_answer_does_not_lengthen_anything(
    authenticator: RememberedAuth, keys: Keys, clock: ManualClock
) -> None:
    """While the registry is silent a revoked key works until its time is over; then requests wait for the answer."""
    await authenticator.authenticate(key("key-acme"))
    keys.open.clear()
    del keys.tenants["key-acme"]
    clock.advance(FRESH / 2)
    assert authenticator.known(key("key-acme")) is not None
    await answered()
    clock.advance(FRESH / 2)
    assert authenticator.known(key("key-acme")) is None
    waiting = asyncio.ensure_future(authenticator.authenticate(key("key-acme")))
    await answered()
    assert not waiting.done()
    keys.open.set()
    with refused(ErrorCode.AUTH_INVALID):
        await waiting
    assert keys.asked == ["key-acme"] * 2


async def test_the_age_of_an_answer_counts_from_the_question(
    authenticator: RememberedAuth, keys: Keys, clock: ManualClock
) -> None:
    """A slow answer is not fresh for longer than a quick one."""
    keys.open.clear()
    asking = asyncio.ensure_future(authenticator.authenticate(key("key-acme")))
    await answered()
    clock.advance(FRESH - 1)
    keys.open.set()
    await asking
    clock.advance(1)
    assert authenticator.known(key("key-acme")) is None


async def test_questions_ahead_are_bounded(
    authenticator: RememberedAuth, keys: Keys, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound of questions under way none is started; the answer stays usable for its time."""
    await authenticator.authenticate(key("key-acme"))
    monkeypatch.setattr(questions, "MOST_QUESTIONS", 0)
    clock.advance(FRESH / 2)
    assert authenticator.known(key("key-acme")) is not None
    await answered()
    assert keys.asked == ["key-acme"]
    assert authenticator.known(key("key-acme")) is not None
