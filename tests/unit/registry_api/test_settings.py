# SPDX-License-Identifier: Apache-2.0
"""The registry's settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import InitError
from registry_api.settings.registry import Settings


def test_everything_lives_in_the_home_folder_by_default(tmp_path: Path) -> None:
    """Database, blobs, keys and work folders."""
    settings = Settings(home=tmp_path)
    assert settings.database_url == f"sqlite+aiosqlite:///{tmp_path}/registry.db"
    assert settings.store_url == f"file://{tmp_path}/blobs"
    assert settings.keys_dir == tmp_path / "keys"
    assert settings.admin_key_file == tmp_path / "admin.key"
    assert (settings.http.host, settings.http.port) == ("127.0.0.1", 8800)


def test_variables_are_read_and_those_of_other_processes_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    """FUROSHIKI_HTTP__PORT is ours, FUROSHIKI_BATCHING__MAX_ROWS and FUROSHIKI_AUTH__MODE are not."""
    monkeypatch.setenv("FUROSHIKI_HTTP__PORT", "9000")
    monkeypatch.setenv("FUROSHIKI_BATCHING__MAX_ROWS", "8")
    monkeypatch.setenv("FUROSHIKI_AUTH__MODE", "open")
    assert Settings.read().http.port == 9000


@pytest.mark.parametrize(
    ("name", "value"), [("HTTP__PORT", "70000"), ("LIMITS__UPLOAD_BYTES", "0"), ("AUTH__CACHE_SECONDS", "6")]
)
def test_a_wrong_value_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    """With what was found."""
    monkeypatch.setenv(f"FUROSHIKI_{name}", value)
    with pytest.raises(InitError, match=f"FUROSHIKI_{name}: got '{value}'"):
        Settings.read()
