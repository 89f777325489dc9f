# SPDX-License-Identifier: Apache-2.0
"""Where the services are and which key to use: arguments, then environment, then the file that ``furo login`` wrote.

The file is ``$FUROSHIKI_CONFIG``, or ``furoshiki/config.json`` below ``$XDG_CONFIG_HOME`` or ``~/.config``. It holds
a key or a login, so it is written with mode 0600 and refused if others can read it. A key from the file goes only to the
services the file names: with another URL in the environment, set ``FUROSHIKI_API_KEY`` too.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from furoshiki.errors import CONFIG_INVALID, ConfigError

DEFAULT_URL: Final = "http://127.0.0.1:8800"
DEFAULT_INFERENCE_URL: Final = "http://127.0.0.1:3000"


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """How a token that ends soon is replaced; see :mod:`furoshiki.session`."""

    issuer: str  # the OpenID provider
    client_id: str
    token_endpoint: str
    expires_at: datetime  # of the token
    revocation_endpoint: str | None = None
    refresh_token: str | None = field(default=None, repr=False)  # None: the provider gave none; one logs in again


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    """What a client connects with."""

    url: str = DEFAULT_URL  # of the registry
    inference_url: str = DEFAULT_INFERENCE_URL
    api_key: str | None = field(default=None, repr=False)  # or a token; None or empty: requests carry no credential
    login: Login | None = None  # whose token ``api_key`` is; None: it is a key

    def __post_init__(self) -> None:
        object.__setattr__(self, "url", _checked_url(self.url, "url"))
        object.__setattr__(self, "inference_url", _checked_url(self.inference_url, "inference_url"))
        if self.api_key is not None and not (self.api_key.isascii() and self.api_key.isprintable()):
            raise ConfigError(CONFIG_INVALID, "The API key holds characters that no key has. Copy it again.")


def config_path(environ: Mapping[str, str] = os.environ) -> Path:
    """Where the configuration file is."""
    if chosen := environ.get("FUROSHIKI_CONFIG"):
        return Path(chosen)
    base = environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(base) / "furoshiki" / "config.json"


def resolve(
    *,
    url: str | None = None,
    inference_url: str | None = None,
    api_key: str | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Config:
    """Combines arguments, environment and file, in this order. The file is read only if registry or key is missing.

    Args:
        url: The registry; None: not given.
        inference_url: The inference service; None: not given.
        api_key: The key; None: not given; empty: send none, wherever one may be configured.
        environ: The environment.

    Raises:
        ConfigError: ``CLIENT_001`` if a URL is none, ``FUROSHIKI_API_KEY`` is set but empty, or the file is malformed or
            readable by others.
    """
    url = url or environ.get("FUROSHIKI_URL") or None
    inference_url = inference_url or environ.get("FUROSHIKI_INFERENCE_URL") or None
    if api_key is None:
        api_key = _key_in(environ)
    saved = read_config(config_path(environ)) if url is None or api_key is None else None
    places = saved or Config()
    found = Config(url=url or places.url, inference_url=inference_url or places.inference_url, api_key=api_key)
    same_services = (found.url, found.inference_url) == (places.url, places.inference_url)
    return places if api_key is None and same_services else found


def _key_in(environ: Mapping[str, str]) -> str | None:
    """The key of the environment; None: not set. A secret that a CI job was not given arrives as an empty variable."""
    key = environ.get("FUROSHIKI_API_KEY")
    if key is not None and not key.strip():
        raise ConfigError(
            CONFIG_INVALID,
            "FUROSHIKI_API_KEY is set but empty. Give it a key, or unset it to use what `furo login` saved.",
        )
    return key


def read_config(path: Path) -> Config | None:
    """Reads a configuration file; None if there is none.

    Raises:
        ConfigError: ``CLIENT_001`` if it is malformed or readable by others.
    """
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(CONFIG_INVALID, f"Cannot read {str(path)!r}: {error.strerror}.") from None
    if os.name == "posix" and mode & 0o077:
        raise ConfigError(
            CONFIG_INVALID, f"{str(path)!r} holds a key and has mode {mode & 0o777:04o}; run: chmod 600 {path}"
        )
    try:
        return msgspec.json.decode(data, type=Config)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            CONFIG_INVALID, f"{str(path)!r} cannot be read: {error}. Run `furo login` to write it anew."
        ) from None


def write_config(config: Config, path: Path) -> None:
    """Writes a configuration file in one step, with mode 0600.

    Raises:
        ConfigError: ``CLIENT_001`` if it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor, staging = tempfile.mkstemp(prefix=".config-", dir=path.parent)  # mkstemp makes mode 0600
        with os.fdopen(descriptor, "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(config)) + b"\n")
        Path(staging).replace(path)
    except OSError as error:
        raise ConfigError(CONFIG_INVALID, f"Cannot write {str(path)!r}: {error.strerror}.") from None


def sends_key_in_clear(url: str) -> bool:
    """Whether a key sent to ``url`` could be read on the way: plain HTTP to another machine."""
    parts = urlsplit(url)
    return parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "::1", "localhost")


def _checked_url(url: str, name: str) -> str:
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        good = False
    if not good or parts.query or parts.fragment or parts.username or parts.password:
        raise ConfigError(
            CONFIG_INVALID,
            f"{name} is not a service URL; expected http://host:port or https://host, without user or query.",
        )
    return url.rstrip("/")
