# SPDX-License-Identifier: Apache-2.0
"""Secrets are wrapped where encryption at rest is on, and come back the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifacts.encryption.keys import FileKeys
from core.errors import StoreError, Unavailable
from registry_api.webhooks.secrets import SecretKeeper, StoredSecret, new_secret


async def test_a_wrapped_secret_is_not_the_secret(tmp_path: Path) -> None:
    """What is stored shows nothing of it, names its key, and opens for that tenant only."""
    keeper, secret = SecretKeeper(FileKeys(tmp_path), encrypt=True), new_secret()
    stored = await keeper.keep("acme", secret)
    assert stored.key_id is not None
    assert secret not in stored.data
    assert await keeper.reveal("acme", stored) == secret
    with pytest.raises(StoreError):
        await keeper.reveal("other", stored)


async def test_both_kinds_are_read_however_encryption_is_set(tmp_path: Path) -> None:
    """Encryption switched on or off changes what is written and not what can be read; rotation neither."""
    keys, secret = FileKeys(tmp_path), new_secret()
    off, on = SecretKeeper(keys), SecretKeeper(keys, encrypt=True)
    plain, wrapped = await off.keep("acme", secret), await on.keep("acme", secret)
    await keys.rotate("acme")
    assert plain == StoredSecret(data=secret, key_id=None)
    for keeper in (off, on):
        assert await keeper.reveal("acme", plain) == await keeper.reveal("acme", wrapped) == secret


async def test_without_keys_a_wrapped_secret_says_so(tmp_path: Path) -> None:
    """The delivery is tried again later rather than lost."""
    stored = await SecretKeeper(FileKeys(tmp_path), encrypt=True).keep("acme", new_secret())
    with pytest.raises(Unavailable):
        await SecretKeeper().reveal("acme", stored)
