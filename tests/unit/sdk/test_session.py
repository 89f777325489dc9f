# SPDX-License-Identifier: Apache-2.0
"""When a login is renewed, and when not."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from furoshiki import AuthError, Token
from furoshiki.config import Config, Login, read_config, write_config
from furoshiki.session import current

NOW = datetime(2026, 1, 1, tzinfo=UTC)
LOGIN = Login(
    issuer="https://id.example",
    client_id="furo",
    token_endpoint="https://id.example/token",
    expires_at=NOW + timedelta(minutes=15),
    refresh_token="r1",
)
SAVED = Config(api_key="a.b.c", login=LOGIN)


def nobody(_config: Config) -> Token:
    raise AssertionError("the registry was asked")


def test_keys_and_fresh_tokens_are_left_alone(tmp_path: Path) -> None:
    """Nobody is asked and nothing is written."""
    for config in (Config(api_key="furo_key"), SAVED):
        assert current(config, tmp_path / "config.json", now=NOW, exchange=nobody) is config
    assert list(tmp_path.iterdir()) == []


def test_what_another_command_renewed_is_taken(tmp_path: Path) -> None:
    """The one that waited for its turn reads the file again instead of using the old refresh token."""
    path = tmp_path / "config.json"
    renewed = replace(SAVED, api_key="d.e.f", login=replace(LOGIN, refresh_token="r2"))
    write_config(renewed, path)
    old = replace(SAVED, login=replace(LOGIN, expires_at=NOW + timedelta(seconds=59)))
    assert current(old, path, now=NOW, exchange=nobody) == renewed


def test_a_login_without_a_refresh_token_ends(tmp_path: Path) -> None:
    """The error says what to do; the file stays as it is."""
    path = tmp_path / "config.json"
    ended = replace(SAVED, login=replace(LOGIN, expires_at=NOW, refresh_token=None))
    write_config(ended, path)
    with pytest.raises(AuthError, match="furo login --oidc"):
        current(ended, path, now=NOW, exchange=nobody)
    assert read_config(path) == ended


def test_a_login_shows_no_secret() -> None:
    """Neither the token nor the refresh token is in a repr."""
    assert not any(secret in repr(SAVED) for secret in ("a.b.c", "r1"))
