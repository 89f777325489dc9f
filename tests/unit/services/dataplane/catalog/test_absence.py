# SPDX-License-Identifier: Apache-2.0
"""While the registry is away, and when it revokes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from artifacts.digest import digest_bytes
from artifacts.signing.ed25519 import Ed25519Signer
from artifacts.testing import refused, trust
from core.errors import ErrorCode, FuroshikiError
from tests.unit.services.dataplane.catalog.conftest import ACME, DOWN, FRESH, GRACE, Setting


async def test_known_models_survive_an_absent_registry(setting: Setting) -> None:
    """While the registry is away known names work for grace_s, unknown ones get a retryable error."""
    setting.bundle(2)
    await setting.infer()
    setting.remote.away = DOWN
    setting.clock.advance(FRESH + GRACE)
    assert await setting.infer() == 2
    with refused(ErrorCode.STORE_UNAVAILABLE):
        await setting.infer(model="other")


async def test_grace_ends(setting: Setting) -> None:
    """However often a name is used meanwhile, grace counts from the registry's last answer."""
    setting.bundle(2)
    await setting.infer()
    setting.remote.away = DOWN
    for _ in range(int((FRESH + GRACE) / 10)):
        setting.clock.advance(10)
        await setting.infer()
    setting.clock.advance(10)
    with refused(ErrorCode.STORE_UNAVAILABLE):
        await setting.infer()


async def test_an_absent_registry_is_not_asked_for_each_request(setting: Setting) -> None:
    """A registry that hangs costs one request per fresh_s its wait, not every request."""
    setting.bundle(2)
    await setting.infer()
    setting.remote.away = DOWN
    setting.clock.advance(FRESH)
    for _ in range(10):
        await setting.infer()
    assert len(setting.remote.asked) == 2


@pytest.mark.parametrize("what", ["manifest", "file", "key", "untrusted"])
@pytest.mark.parametrize("away", [False, True], ids=["registry-up", "registry-down"])
async def test_what_is_revoked_leaves_the_cache(setting: Setting, what: str, away: bool) -> None:
    """Within fresh_s of a revocation the loaded model is closed and not served again, whatever of it was revoked."""
    bundle = setting.bundle(2)
    assert await setting.infer() == 2
    policy = trust(bundle.signer)
    entry = bundle.manifest.files[0]
    policy = {
        "manifest": replace(policy, revoked_digests=frozenset({bundle.manifest.digest})),
        "file": replace(policy, revoked_digests=frozenset({entry.digest})),
        "key": replace(policy, revoked_keys=frozenset({bundle.signer.key_id})),
        "untrusted": trust(Ed25519Signer.generate()),
    }[what]
    setting.trust(policy)
    setting.remote.away = DOWN if away else None
    assert await setting.infer() == 2
    setting.clock.advance(FRESH)
    with pytest.raises(FuroshikiError) as caught:
        await setting.infer()
    if not away:
        assert caught.value.code is (ErrorCode.SIGNER_UNTRUSTED if what == "untrusted" else ErrorCode.REVOKED)
    assert setting.cache.models == []


async def test_another_revocation_disturbs_nobody(setting: Setting) -> None:
    """A policy that changes elsewhere leaves loaded models where they are."""
    bundle = setting.bundle(2)
    await setting.infer()
    other = trust(bundle.signer, Ed25519Signer.generate())
    setting.trust(replace(other, revoked_digests=frozenset({digest_bytes(b"other")})))
    setting.clock.advance(FRESH)
    assert await setting.infer() == 2
    assert len(setting.remote.downloads) == 1


async def test_listing_without_the_registry(setting: Setting) -> None:
    """While the registry is away, what is remembered is listed, then the loaded versions; else the error is retryable."""
    setting.bundle(2)
    await setting.catalog.index(ACME)
    await setting.infer()
    setting.remote.away = DOWN
    assert len(await setting.catalog.index(ACME)) == 1
    setting.clock.advance(FRESH)
    assert await setting.catalog.versions(ACME, "digits") == ["1"]
    for ask in (setting.catalog.index(ACME), setting.catalog.versions(ACME, "wine")):
        with refused(ErrorCode.STORE_UNAVAILABLE):
            await ask
