# SPDX-License-Identifier: Apache-2.0
"""Keys that sign our own tokens: made, shared, replaced with overlap, forgotten."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from artifacts.tokens.keeping import FileMintingKeys
from artifacts.tokens.minting import MintingKey
from core.clock import ManualClock
from core.errors import ErrorCode, InitError

ROTATE, OVERLAP = 3600.0, 900.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def keeper(folder: Path, clock: ManualClock) -> FileMintingKeys:
    return FileMintingKeys(folder, clock=clock, rotate_s=ROTATE, overlap_s=OVERLAP)


def files(folder: Path) -> list[Path]:
    return list(folder.glob("*.key"))


async def shown(keys: FileMintingKeys) -> list[str]:
    return [key["kid"] for key in json.loads(await keys.read())["keys"]]


async def test_processes_share_one_key(tmp_path: Path, clock: ManualClock) -> None:
    """The first makes it; the second signs with it; its file is private and its public half is shown."""
    folder = tmp_path / "tokens"
    one, two = keeper(folder, clock), keeper(folder, clock)
    key = await one.signing()
    assert (await two.signing()).kid == key.kid
    assert await shown(two) == [key.kid]
    (file,) = files(folder)
    assert (file.stat().st_mode & 0o777, folder.stat().st_mode & 0o777) == (0o600, 0o700)
    assert key.secret.hex() not in repr(key)


async def test_a_key_is_replaced_when_it_is_due_and_believed_a_while_longer(tmp_path: Path, clock: ManualClock) -> None:
    """The new one signs at once; the old one is shown for the overlap, then its file is gone."""
    folder = tmp_path / "k"
    keys = keeper(folder, clock)
    old = await keys.signing()
    clock.advance(ROTATE - 1)
    assert (await keys.signing()).kid == old.kid
    clock.advance(1)
    new = await keys.signing()
    assert new.kid != old.kid
    assert await shown(keys) == [new.kid, old.kid]
    clock.advance(OVERLAP - 1)
    assert await shown(keys) == [new.kid, old.kid]
    clock.advance(1.1)
    assert await shown(keys) == [new.kid]
    assert len(files(folder)) == 1


async def test_another_process_follows_a_rotation_within_a_second(tmp_path: Path, clock: ManualClock) -> None:
    """With ``forget_old`` nothing that the old key signed is believed any more."""
    here, there = keeper(tmp_path / "k", clock), keeper(tmp_path / "k", clock)
    old = await here.signing()
    assert await shown(there) == [old.kid]
    new = await here.rotate(forget_old=True)
    assert await shown(here) == [new.kid]
    clock.advance(1)
    assert await shown(there) == [new.kid]


async def test_a_clock_that_steps_back_does_not_bring_an_old_key_back(tmp_path: Path, clock: ManualClock) -> None:
    """The key made last signs."""
    keys = keeper(tmp_path / "k", clock)
    await keys.rotate()
    newer = ManualClock()
    newer.advance(-3600)
    made = await keeper(tmp_path / "k", newer).rotate()
    clock.advance(1)
    assert (await keys.signing()).kid == made.kid


async def test_a_key_that_others_may_read_is_refused(tmp_path: Path, clock: ManualClock) -> None:
    """So is one that is no key, and a link; the file is named."""
    folder = tmp_path / "k"
    await keeper(folder, clock).signing()
    (file,) = files(folder)
    file.chmod(0o640)
    with pytest.raises(InitError) as caught:
        await keeper(folder, clock).signing()
    assert caught.value.code is ErrorCode.INIT_FAILED
    assert file.name in caught.value.message
    file.chmod(0o600)
    file.write_bytes(b"short")
    with pytest.raises(InitError):
        await keeper(folder, clock).signing()
    file.rename(folder / "else")
    file.symlink_to(folder / "else")
    with pytest.raises(InitError):
        await keeper(folder, clock).signing()


def test_a_keys_id_is_its_thumbprint() -> None:
    """The example of RFC 8037, appendix A.3."""
    secret = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    key = MintingKey.of(secret, ManualClock().now())
    assert key.jwk()["x"] == "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"
    assert key.kid == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
