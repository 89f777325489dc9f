# SPDX-License-Identifier: Apache-2.0
"""Credentials, remembered: for how long, when the registry is away, and within what bounds."""

from __future__ import annotations

import asyncio

import pytest

from artifacts.testing import refused
from core.clock import ManualClock
from core.errors import AuthError, ErrorCode, FuroshikiError, Unavailable
from services.edge import auth
from services.edge.auth import OpenAuth, RegistryAuth
from services.edge.context import Principal

FRESH, GRACE = 5.0, 300.0
DOWN = Unavailable(ErrorCode.STORE_UNAVAILABLE, "Down.")


class Keys:
    """A registry in memory: knows some keys, may be away, may be slow, and counts what it is asked."""

    def __init__(self) -> None:
        self.tenants = {"key-acme": "acme", "key-globex": "globex"}
        self.asked: list[str] = []
        self.away: FuroshikiError | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def whoami(self, credential: str) -> Principal:
        self.asked.append(credential)
        await self.open.wait()
        if self.away is not None:
            raise self.away
        if credential not in self.tenants:
            raise AuthError(ErrorCode.AUTH_INVALID, "The credential is not valid.")
        return Principal(tenant=self.tenants[credential], key_id=credential)


@pytest.fixture
async def keys() -> Keys:
    return Keys()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def authenticator(keys: Keys, clock: ManualClock) -> RegistryAuth:
    return RegistryAuth(keys, clock=clock, fresh_s=FRESH, grace_s=GRACE)


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
async def test_both_headers_carry_a_credential(authenticator: RegistryAuth, headers: dict[bytes, bytes]) -> None:
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
async def test_no_credential_is_auth_001(authenticator: RegistryAuth, keys: Keys, headers: dict[bytes, bytes]) -> None:
    """Nothing, or nothing of a known scheme: AUTH_001, without asking anybody."""
    with refused(ErrorCode.AUTH_REQUIRED):
        await authenticator.authenticate(headers)
    assert keys.asked == []


@pytest.mark.parametrize("value", ["schlüssel".encode(), b"\xff\xfe", b"k" * 4097], ids=["utf-8", "bytes", "overlong"])
async def test_what_cannot_be_a_key_is_auth_002(authenticator: RegistryAuth, keys: Keys, value: bytes) -> None:
    """A credential that is not ASCII or too long is refused without asking, remembering or repeating it."""
    with refused(ErrorCode.AUTH_INVALID):
        await authenticator.authenticate(key(value))
    assert keys.asked == []
    assert not authenticator._known


async def test_an_answer_is_used_while_fresh(authenticator: RegistryAuth, keys: Keys, clock: ManualClock) -> None:
    """Within fresh_s nobody is asked again; after it, once."""
    for seconds in (0.0, 2.0, 2.9, 0.1, 1.0):
        clock.advance(seconds)
        assert (await authenticator.authenticate(key("key-acme"))).tenant == "acme"
    assert keys.asked == ["key-acme"] * 2


async def test_a_revoked_key_stops_working_within_fresh_s(
    authenticator: RegistryAuth, keys: Keys, clock: ManualClock
) -> None:
    """A key that was revoked works until its answer is no longer fresh, and never after."""
    await authenticator.authenticate(key("key-acme"))
    del keys.tenants["key-acme"]
    clock.advance(FRESH - 0.1)
    await authenticator.authenticate(key("key-acme"))
    clock.advance(0.1)
    with refused(ErrorCode.AUTH_INVALID):
        await authenticator.authenticate(key("key-acme"))


async def test_a_refusal_is_remembered(authenticator: RegistryAuth, keys: Keys, clock: ManualClock) -> None:
    """A wrong key is asked about once per fresh_s; a key that was made meanwhile then works."""
    for _ in range(10):
        with refused(ErrorCode.AUTH_INVALID):
            await authenticator.authenticate(key("key-new"))
    assert keys.asked == ["key-new"]
    keys.tenants["key-new"] = "acme"
    clock.advance(FRESH)
    assert (await authenticator.authenticate(key("key-new"))).tenant == "acme"


async def test_refusals_are_new_errors(authenticator: RegistryAuth) -> None:
    """Each caller gets an exception of its own: a shared one would gather the tracebacks of all."""
    with pytest.raises(AuthError) as first:
        await authenticator.authenticate(key("wrong"))
    with pytest.raises(AuthError) as second:
        await authenticator.authenticate(key("wrong"))
    assert first.value is not second.value


async def test_known_keys_survive_an_absent_registry(
    authenticator: RegistryAuth, keys: Keys, clock: ManualClock
) -> None:
    """During grace_s a known key works, an unknown one gets a retryable error, and a refused one is not let in."""
    await authenticator.authenticate(key("key-acme"))
    with refused(ErrorCode.AUTH_INVALID):
        await authenticator.authenticate(key("wrong"))
    keys.away = DOWN
    clock.advance(FRESH + GRACE)
    assert (await authenticator.authenticate(key("key-acme"))).tenant == "acme"
    for other in ("wrong", "key-globex"):
        with pytest.raises(Unavailable) as caught:
            await authenticator.authenticate(key(other))
        assert caught.value.retry_after is not None


async def test_grace_ends(authenticator: RegistryAuth, keys: Keys, clock: ManualClock) -> None:
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
    authenticator: RegistryAuth, keys: Keys, clock: ManualClock
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


async def test_one_question_at_a_time(authenticator: RegistryAuth, keys: Keys) -> None:
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
    assert not authenticator._asking


async def test_what_is_remembered_is_bounded(
    authenticator: RegistryAuth, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Beyond the bound the longest unasked credential is forgotten, and nothing else."""
    monkeypatch.setattr(auth, "_MOST_CREDENTIALS", 3)
    await authenticator.authenticate(key("key-acme"))
    for n in range(3):
        with refused(ErrorCode.AUTH_INVALID):
            await authenticator.authenticate(key(f"wrong-{n}"))
    assert list(authenticator._known) == [b"wrong-0", b"wrong-1", b"wrong-2"]
    assert (await authenticator.authenticate(key("key-acme"))).tenant == "acme"


async def test_a_credential_is_in_no_error(authenticator: RegistryAuth) -> None:
    """What was sent as a credential is not repeated."""
    with pytest.raises(AuthError) as caught:
        await authenticator.authenticate(key("s3cr3t"))
    assert "s3cr3t" not in repr(caught.value) + caught.value.message + str(caught.value.log_context)


async def test_open_mode_asks_for_nothing() -> None:
    """In open mode everybody is the one tenant."""
    assert (await OpenAuth("acme").authenticate({})).tenant == "acme"
