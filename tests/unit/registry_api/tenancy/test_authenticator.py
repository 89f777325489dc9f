# SPDX-License-Identifier: Apache-2.0
"""Which keys open what, for how long."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from core.clock import ManualClock
from core.errors import AuthError, ErrorCode, NotFound
from registry_api.db.engine import create_engine
from registry_api.db.session import Database
from registry_api.http.access import Role
from registry_api.http.auth import Principal
from registry_api.schema import METADATA
from registry_api.tenancy.authenticator import KeyAuthenticator
from registry_api.tenancy.credentials import mint
from registry_api.tenancy.keys import KeyService
from registry_api.tenancy.repository import KeyRepository, write_uses
from registry_api.tenancy.uses import KeyUses
from registry_api.tenancy.values import MintedKey, NewKey

ADMIN = Principal(tenant="acme", key_id="0" * 16, name="admin", roles=frozenset({Role.TENANT_ADMIN}))
FIRST = NewKey(tenant="acme", name="first", roles=frozenset({Role.TENANT_ADMIN}))


@pytest.fixture
async def db(tmp_path: Path) -> AsyncIterator[Database]:
    db = Database(create_engine(f"sqlite+aiosqlite:///{tmp_path / 'x.db'}"))
    async with db.engine.begin() as connection:
        await connection.run_sync(METADATA.create_all)
    yield db
    await db.close()


async def issue(db: Database, clock: ManualClock, *, seconds: float | None = None) -> MintedKey:
    """A new read key of acme that expires after ``seconds``."""
    keys = KeyService(db, clock, KeyAuthenticator(db, clock, cache_seconds=0))
    await keys.install_first_key(mint(), FIRST)
    expires = None if seconds is None else clock.now() + timedelta(seconds=seconds)
    wanted = NewKey(tenant="acme", name="ci", roles=frozenset({Role.VIEWER}), expires_at=expires)
    return await keys.create(ADMIN, wanted)


async def refused(authenticator: KeyAuthenticator, credential: str) -> bool:
    try:
        await authenticator.authenticate(credential)
    except AuthError as error:
        return error.code is ErrorCode.AUTH_INVALID and credential not in str(error)
    return False


async def test_a_key_opens_its_tenant_with_its_roles(db: Database, clock: ManualClock) -> None:
    """The principal carries what is written on the key."""
    minted = await issue(db, clock)
    principal = await KeyAuthenticator(db, clock, cache_seconds=2).authenticate(minted.plaintext)
    assert (principal.tenant, principal.key_id, principal.name) == ("acme", minted.key.id, "ci")
    assert principal.roles == {Role.VIEWER}


async def test_an_expired_key_stops_even_while_it_is_remembered(db: Database, clock: ManualClock) -> None:
    """Expiry is looked at on every use."""
    minted = await issue(db, clock, seconds=1)
    authenticator = KeyAuthenticator(db, clock, cache_seconds=5)
    assert not await refused(authenticator, minted.plaintext)
    clock.advance(1)
    assert await refused(authenticator, minted.plaintext)


async def test_a_key_revoked_by_another_process_stops_when_the_memory_ends(db: Database, clock: ManualClock) -> None:
    """It works until then and not after; the process that revoked it refuses at once."""
    minted = await issue(db, clock)
    here, there = (KeyAuthenticator(db, clock, cache_seconds=5) for _ in range(2))
    for authenticator in (here, there):
        assert not await refused(authenticator, minted.plaintext)
    await KeyService(db, clock, here).revoke(ADMIN, None, minted.key.id)
    assert await refused(here, minted.plaintext)
    clock.advance(4.9)
    assert not await refused(there, minted.plaintext)
    clock.advance(0.2)
    assert await refused(there, minted.plaintext)


async def test_the_right_id_with_a_wrong_secret_is_refused(db: Database, clock: ManualClock) -> None:
    """Also after the right one was remembered."""
    minted = await issue(db, clock)
    authenticator = KeyAuthenticator(db, clock, cache_seconds=5)
    assert not await refused(authenticator, minted.plaintext)
    assert await refused(authenticator, f"furo_{minted.key.id}_{'0' * 64}")


async def test_the_first_key_is_installed_once(db: Database, clock: ManualClock) -> None:
    """A second credential is not accepted, even after the first was revoked."""
    authenticator = KeyAuthenticator(db, clock, cache_seconds=0)
    keys, one, two = KeyService(db, clock, authenticator), mint(), mint()
    assert await keys.install_first_key(one, FIRST)
    await keys.revoke(ADMIN, None, one.id)
    assert not await keys.install_first_key(two, FIRST)
    assert await refused(authenticator, two.plaintext)


async def test_a_rotated_key_has_two_secrets_for_the_overlap(db: Database, clock: ManualClock) -> None:
    """The old one works until it ends, even while it is remembered; the new one at once and for good."""
    minted = await issue(db, clock)
    authenticator = KeyAuthenticator(db, clock, cache_seconds=5)
    keys = KeyService(db, clock, authenticator)
    assert not await refused(authenticator, minted.plaintext)
    rotated = await keys.rotate(ADMIN, None, minted.key.id, overlap=timedelta(seconds=60))
    assert (rotated.key.id, rotated.key.roles) == (minted.key.id, minted.key.roles)
    assert rotated.plaintext != minted.plaintext
    clock.advance(59)
    for secret in (minted.plaintext, rotated.plaintext):
        assert not await refused(authenticator, secret)
    clock.advance(1)
    assert await refused(authenticator, minted.plaintext)
    assert not await refused(authenticator, rotated.plaintext)


async def test_only_the_last_secret_before_a_rotation_lives_on(db: Database, clock: ManualClock) -> None:
    """Rotated twice, the first secret is dead; without overlap the old one dies at once; a revoked key has none."""
    minted = await issue(db, clock)
    authenticator = KeyAuthenticator(db, clock, cache_seconds=5)
    keys = KeyService(db, clock, authenticator)
    second = await keys.rotate(ADMIN, None, minted.key.id, overlap=timedelta(hours=1))
    third = await keys.rotate(ADMIN, None, minted.key.id, overlap=timedelta(hours=1))
    assert await refused(authenticator, minted.plaintext)
    assert not await refused(authenticator, second.plaintext)
    fourth = await keys.rotate(ADMIN, None, minted.key.id, overlap=timedelta(0))
    assert await refused(authenticator, third.plaintext)
    await keys.revoke(ADMIN, None, minted.key.id)
    assert await refused(authenticator, fourth.plaintext)
    with pytest.raises(NotFound):
        await keys.rotate(ADMIN, None, minted.key.id, overlap=timedelta(0))


async def test_nobody_takes_over_a_key_of_the_platform(db: Database, clock: ManualClock) -> None:
    """Who rotates a key holds it: a tenant's admin neither rotates nor revokes what the platform made in its tenant."""
    keys = KeyService(db, clock, KeyAuthenticator(db, clock, cache_seconds=0))
    credential = mint()
    wanted = NewKey(tenant="acme", name="platform", roles=frozenset({Role.PLATFORM_ADMIN}))
    await keys.install_first_key(credential, wanted)
    for attempt in (
        keys.rotate(ADMIN, None, credential.id, overlap=timedelta(0)),
        keys.revoke(ADMIN, None, credential.id),
    ):
        with pytest.raises(AuthError):
            await attempt


async def test_a_use_is_written_at_most_once_a_minute(db: Database, clock: ManualClock) -> None:
    """In batches beside the requests; what was written later by another process stays."""
    minted = await issue(db, clock)
    uses = KeyUses(db, clock)
    authenticator = KeyAuthenticator(db, clock, cache_seconds=5, uses=uses)

    async def last_use() -> datetime | None:
        await uses.write()
        async with db.read("acme") as session:
            found = await KeyRepository(session, "acme").get(minted.key.id)
        assert found is not None
        return found.last_used_at

    assert await last_use() is None
    first = clock.now()
    assert not await refused(authenticator, minted.plaintext)
    assert await last_use() == first
    clock.advance(59)
    assert not await refused(authenticator, minted.plaintext)
    assert await last_use() == first
    clock.advance(1)
    assert not await refused(authenticator, minted.plaintext)
    assert await last_use() == clock.now()
    async with db.write("acme") as session:
        await write_uses(session, {minted.key.id: first})
    assert await last_use() == clock.now()


async def test_refused_keys_are_not_used(db: Database, clock: ManualClock) -> None:
    """Guessing writes nothing."""
    minted = await issue(db, clock)
    uses = KeyUses(db, clock)
    authenticator = KeyAuthenticator(db, clock, cache_seconds=5, uses=uses)
    assert await refused(authenticator, f"furo_{minted.key.id}_{'0' * 64}")
    await uses.write()
    async with db.read("acme") as session:
        found = await KeyRepository(session, "acme").get(minted.key.id)
    assert found is not None
    assert found.last_used_at is None
