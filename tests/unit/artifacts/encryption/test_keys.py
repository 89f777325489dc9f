# SPDX-License-Identifier: Apache-2.0
"""Encryption keys in files: made once, private, rotated, bound to their tenant."""

from __future__ import annotations

import asyncio
import os
import stat
from pathlib import Path

import pytest

from artifacts.encryption.keys import FileKeys
from artifacts.testing import refused
from core.errors import ErrorCode, InitError

DATA_KEY = bytes(range(32))


async def test_a_wrapped_key_unwraps_after_rotations_and_restarts(tmp_path: Path) -> None:
    """Old keys stay; new data keys are wrapped by the newest."""
    keys = FileKeys(tmp_path)
    first, wrapped = await keys.key_id("acme"), await keys.wrap("acme", DATA_KEY)
    second = await keys.rotate("acme")
    assert first != second == await keys.key_id("acme")
    assert await FileKeys(tmp_path).unwrap("acme", first, wrapped) == DATA_KEY
    assert await keys.unwrap("acme", second, await keys.wrap("acme", DATA_KEY)) == DATA_KEY


async def test_key_files_are_private(tmp_path: Path) -> None:
    """Mode 0600 in folders of mode 0700; a key that others may read is refused."""
    keys = FileKeys(tmp_path / "keys")
    key_id = await keys.key_id("acme")
    path = tmp_path / "keys/acme" / f"{key_id}.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    os.chmod(path, 0o640)
    with pytest.raises(InitError, match="0600"):
        await keys.wrap("acme", DATA_KEY)


async def test_racing_first_uses_agree_on_one_key(tmp_path: Path) -> None:
    """Sixteen processes that use a tenant's key for the first time end with one key, and no other is left behind."""
    found = await asyncio.gather(*(FileKeys(tmp_path).key_id("acme") for _ in range(16)))
    assert len(set(found)) == 1
    assert {path.name for path in (tmp_path / "acme").iterdir()} == {"current", f"{found[0]}.key"}


async def test_a_key_of_another_tenant_or_id_does_not_unwrap(tmp_path: Path) -> None:
    """STORE_003, also when the key file itself is copied to the other tenant."""
    keys = FileKeys(tmp_path)
    key_id, wrapped = await keys.key_id("acme"), await keys.wrap("acme", DATA_KEY)
    (tmp_path / "globex").mkdir()
    (tmp_path / "globex" / f"{key_id}.key").write_bytes((tmp_path / "acme" / f"{key_id}.key").read_bytes())
    os.chmod(tmp_path / "globex" / f"{key_id}.key", 0o600)
    with refused(ErrorCode.BLOB_CORRUPT, key_id):
        await keys.unwrap("globex", key_id, wrapped)
    for other in ("0" * 16, "../acme/x", ""):
        with refused(ErrorCode.BLOB_CORRUPT):
            await keys.unwrap("acme", other, wrapped)
    for cut in (b"", wrapped[:11], wrapped[:-1]):
        with refused(ErrorCode.BLOB_CORRUPT):
            await keys.unwrap("acme", key_id, cut)
