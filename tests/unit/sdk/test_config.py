# SPDX-License-Identifier: Apache-2.0
"""Where a client connects and with which key."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from furoshiki import ConfigError
from furoshiki.config import (
    DEFAULT_INFERENCE_URL,
    DEFAULT_URL,
    Config,
    config_path,
    read_config,
    resolve,
    sends_key_in_clear,
    write_config,
)

SAVED = Config(url="https://saved", inference_url="https://saved-inference", api_key="furo_saved")


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment whose configuration file holds :data:`SAVED`."""
    path = tmp_path / "saved.json"
    write_config(SAVED, path)
    return {"FUROSHIKI_CONFIG": str(path)}


def test_defaults_are_the_local_services() -> None:
    """Without any configuration the client goes to this machine, without a key."""
    assert resolve(environ={"FUROSHIKI_CONFIG": "/nonexistent"}) == Config(
        url=DEFAULT_URL, inference_url=DEFAULT_INFERENCE_URL
    )


def test_arguments_win_over_environment_over_file(environ: dict[str, str]) -> None:
    """Each setting comes from the first place that has it."""
    assert resolve(environ=environ) == SAVED
    environ |= {"FUROSHIKI_URL": "http://env", "FUROSHIKI_API_KEY": "furo_env"}
    found = resolve(inference_url="http://argument", environ=environ)
    assert found == Config(url="http://env", inference_url="http://argument", api_key="furo_env")


@pytest.mark.parametrize("variable", ["FUROSHIKI_URL", "FUROSHIKI_INFERENCE_URL"])
def test_saved_key_goes_only_where_it_was_saved_for(environ: dict[str, str], variable: str) -> None:
    """A key from the file is not sent to a service that only the environment names."""
    assert resolve(environ=environ | {variable: "https://elsewhere"}).api_key is None
    same = {"FUROSHIKI_URL": SAVED.url + "/", "FUROSHIKI_INFERENCE_URL": SAVED.inference_url}
    assert resolve(environ=environ | same).api_key == SAVED.api_key


def test_explicit_registry_and_key_need_no_file(tmp_path: Path) -> None:
    """A process that is told registry and key does not read its user's file, whatever is in it."""
    path = tmp_path / "config.json"
    path.write_bytes(b"not a configuration")
    environ = {"FUROSHIKI_CONFIG": str(path)}
    assert resolve(url="http://x", api_key="furo_k", environ=environ) == Config(url="http://x", api_key="furo_k")
    with pytest.raises(ConfigError):
        resolve(url="http://x", environ=environ)


def test_empty_key_means_none_at_all(environ: dict[str, str]) -> None:
    """An empty key keeps configured keys from being sent."""
    environ |= {"FUROSHIKI_API_KEY": "furo_env"}
    assert not resolve(api_key="", environ=environ).api_key


@pytest.mark.parametrize("key", ["", " ", "\n"])
def test_empty_key_in_the_environment_is_a_mistake(environ: dict[str, str], key: str) -> None:
    """The saved login does not stand in for it; a key or an empty one given as an argument does."""
    environ |= {"FUROSHIKI_API_KEY": key}
    with pytest.raises(ConfigError, match=r"CLIENT_001.*FUROSHIKI_API_KEY is set but empty.*unset it"):
        resolve(environ=environ)
    assert resolve(api_key="furo_k", environ=environ).api_key == "furo_k"
    assert not resolve(api_key="", environ=environ).api_key


def test_file_is_private_and_written_in_one_step(tmp_path: Path) -> None:
    """The file has mode 0600 from its first byte, in a directory nobody else may enter."""
    path = tmp_path / "a" / "config.json"
    write_config(SAVED, path)
    write_config(SAVED, path)
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert os.listdir(path.parent) == ["config.json"]
    assert read_config(path) == SAVED


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o602])
def test_file_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    """A file that others can read or write is not used; the message says how to mend it."""
    path = tmp_path / "config.json"
    write_config(SAVED, path)
    path.chmod(mode)
    with pytest.raises(ConfigError, match="chmod 600"):
        read_config(path)


@pytest.mark.parametrize("content", [b"", b"[]", b'{"url": 3}', b"\xff"])
def test_malformed_file_is_refused(tmp_path: Path, content: bytes) -> None:
    """A file that is no configuration is named, and how to write it anew."""
    path = tmp_path / "config.json"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(ConfigError, match="furo login"):
        read_config(path)


@pytest.mark.parametrize(
    "url", ["", "x", "ftp://x", "http://", "http://u:p@x", "http://x?q", "http://x#f", "http://x:99999", "http://["]
)
def test_url_that_is_none_is_refused(url: str) -> None:
    """A service URL is http or https with a host, and holds no user, query or fragment."""
    with pytest.raises(ConfigError, match="CLIENT_001"):
        Config(url=url)


def test_key_with_strange_characters_is_refused_unseen() -> None:
    """A key that cannot be a header is refused, without being repeated."""
    with pytest.raises(ConfigError) as caught:
        Config(api_key="furo_x\r\nX-Evil: 1")
    assert "Evil" not in str(caught.value)
    assert "furo_saved" not in repr(SAVED)


def test_config_file_follows_xdg() -> None:
    """The file is where the variables say, else below the user's configuration directory."""
    assert config_path({"FUROSHIKI_CONFIG": "/a/b.json"}) == Path("/a/b.json")
    assert config_path({"XDG_CONFIG_HOME": "/c"}) == Path("/c/furoshiki/config.json")
    assert config_path({}) == Path.home() / ".config/furoshiki/config.json"


@pytest.mark.parametrize(
    ("url", "clear"),
    [("http://127.0.0.1:1", False), ("http://localhost", False), ("https://x", False), ("http://x", True)],
)
def test_plain_http_to_another_machine_is_noticed(url: str, clear: bool) -> None:
    """A key is in the clear only over plain HTTP to another machine."""
    assert sends_key_in_clear(url) is clear
