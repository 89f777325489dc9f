# SPDX-License-Identifier: Apache-2.0
"""Keeps a login alive: the registry's token ends after minutes, and the provider's refresh token makes a new one.

Providers replace a refresh token when it is used, and take a second use of the old one for theft. Commands that run at once
therefore take turns: the first renews, the others read what it wrote.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from furoshiki import oidc
from furoshiki.config import Config, read_config, write_config
from furoshiki.errors import AuthError
from furoshiki.tokens import Token

_EARLY: Final = timedelta(seconds=60)  # before its end a token is renewed

Exchange = Callable[[Config], Token]


def current(config: Config, path: Path, *, now: datetime, exchange: Exchange) -> Config:
    """The configuration with a token that still works; itself if it holds none that ends soon.

    Args:
        config: As read from ``path``.
        path: Where a renewed one is written.
        now: Aware.
        exchange: Asks the registry for a token, with the credential of a configuration.

    Raises:
        AuthError: ``AUTH_002`` if the login has ended: log in again.
        TransientError: If provider or registry cannot be reached.
    """
    if not _due(config, now):
        return config
    with _turn(path):
        latest = read_config(path) or config
        if not _due(latest, now):
            return latest
        renewed = _renewed(latest, exchange)
        write_config(renewed, path)
        return renewed


def _due(config: Config, now: datetime) -> bool:
    return config.login is not None and config.login.expires_at - _EARLY <= now


def _renewed(config: Config, exchange: Exchange) -> Config:
    login = config.login
    assert login is not None
    if login.refresh_token is None:
        raise AuthError(oidc.REFUSED, "The login has ended. Run `furo login --oidc` again.")
    grant = oidc.refresh(login.token_endpoint, client_id=login.client_id, refresh_token=login.refresh_token)
    token = exchange(replace(config, api_key=grant.id_token, login=None))
    kept = replace(login, refresh_token=grant.refresh_token or login.refresh_token, expires_at=token.expires_at)
    return replace(config, api_key=token.token, login=kept)


@contextmanager
def _turn(path: Path) -> Iterator[None]:
    """One process at a time; where files cannot be locked, nobody waits."""
    try:
        import fcntl
    except ImportError:  # not POSIX
        yield
        return
    descriptor = os.open(path.with_name(f".{path.name}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        with contextlib.suppress(OSError):
            os.close(descriptor)
