# SPDX-License-Identifier: Apache-2.0
"""The first start, also when it is interrupted, repeated or raced."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.errors import ErrorCode, InitError
from registry_api.bootstrap.blobs import open_bucket
from registry_api.bootstrap.platform import open_platform, open_services
from registry_api.http.access import Role
from registry_api.http.auth import Authenticator
from registry_api.settings.registry import Settings
from registry_api.settings.storage import StoreSettings


async def opens(settings: Settings, key: str) -> bool:
    """Whether the key is that of a platform administrator."""
    async with open_platform(settings) as platform, open_services(platform) as services:
        authenticator: Authenticator = services.get(Authenticator)  # type: ignore[type-abstract]
        principal = await authenticator.authenticate(key)
        return principal.tenant == "default" and principal.roles == {Role.TENANT_ADMIN, Role.PLATFORM_ADMIN}


async def test_the_first_start_writes_a_private_key_that_opens_the_platform(tmp_path: Path) -> None:
    """Mode 0600 in a folder of mode 0700; a second start changes nothing."""
    settings = Settings(home=tmp_path / "home")
    async with open_platform(settings):
        pass
    key = settings.admin_key_file.read_text().strip()
    assert stat.S_IMODE(settings.admin_key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(settings.home.stat().st_mode) == 0o700
    assert await opens(settings, key)
    assert settings.admin_key_file.read_text().strip() == key


async def test_processes_that_start_at_once_agree(tmp_path: Path) -> None:
    """Four starts on an empty folder: one schema, one key."""
    settings = Settings(home=tmp_path / "home")

    async def start() -> None:
        async with open_platform(settings):
            pass

    await asyncio.gather(*(start() for _ in range(4)))
    assert await opens(settings, settings.admin_key_file.read_text().strip())


async def test_a_key_whose_file_was_moved_away_is_not_made_again(tmp_path: Path) -> None:
    """The operator keeps it elsewhere; it still works."""
    settings = Settings(home=tmp_path / "home")
    async with open_platform(settings):
        pass
    key = settings.admin_key_file.read_text().strip()
    settings.admin_key_file.unlink()
    assert await opens(settings, key)
    assert not settings.admin_key_file.exists()


async def test_a_start_that_died_between_file_and_database_is_finished(tmp_path: Path) -> None:
    """The file's key is put in force by the next start."""
    settings = Settings(home=tmp_path / "home")
    settings.home.mkdir(mode=0o700)
    key = f"furo_{'a' * 16}_{'b' * 64}"
    settings.admin_key_file.touch(mode=0o600)
    settings.admin_key_file.write_text(f"{key}\n")
    assert await opens(settings, key)


@pytest.mark.parametrize(("content", "mode"), [("nonsense", 0o600), (f"furo_{'a' * 16}_{'b' * 64}", 0o644)])
async def test_a_key_file_that_cannot_be_trusted_stops_the_start(tmp_path: Path, content: str, mode: int) -> None:
    """INIT_001 names the file and never its content."""
    settings = Settings(home=tmp_path / "home")
    settings.home.mkdir(mode=0o700)
    settings.admin_key_file.write_text(content)
    settings.admin_key_file.chmod(mode)
    with pytest.raises(InitError, match=r"admin\.key") as caught:
        async with open_platform(settings):
            pass
    assert content not in str(caught.value)


async def test_a_home_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """INIT_001 with the variable."""
    (tmp_path / "file").touch()
    with pytest.raises(InitError, match="FUROSHIKI_HOME"):
        async with open_platform(Settings(home=tmp_path / "file" / "home")):
            pass


def test_a_store_of_no_known_kind_is_refused() -> None:
    """INIT_002 names variable, value and what was expected."""
    with pytest.raises(InitError, match=r"FUROSHIKI_STORE__URL: got 'ftp://x'; expected") as caught:
        open_bucket("ftp://x", StoreSettings(), SystemClock())
    assert caught.value.code is ErrorCode.SETTING_INVALID
