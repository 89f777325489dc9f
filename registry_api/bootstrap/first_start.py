# SPDX-License-Identifier: Apache-2.0
"""What must exist before the first request: folders, schema, tenant ``default``, its signing key, the first two keys.

Every step may be repeated and every step may be interrupted: the next start finishes what is missing. Server and worker
may start at the same moment: a file lock lets one go first. The first keys are those of the administrator and of the
inference service. Each is written to its file before it is written to the database, so it is never in force without its owner
having it; it is made once, and not again after the file was moved to a safer place.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from artifacts.durable import write_atomically
from core.errors import ErrorCode, InitError
from core.telemetry.logs import get_logger
from registry_api.http.access import Role
from registry_api.settings.registry import Settings
from registry_api.tenancy.credentials import Credential, mint, parse
from registry_api.tenancy.keys import KeyService
from registry_api.tenancy.values import NewKey

DEFAULT_TENANT: Final = "default"

_ADMIN: Final = NewKey(
    tenant=DEFAULT_TENANT, name="first admin", roles=frozenset({Role.PLATFORM_ADMIN, Role.TENANT_ADMIN})
)
_SERVICE: Final = NewKey(tenant=DEFAULT_TENANT, name="first inference service", roles=frozenset({Role.SERVICE}))
_log = get_logger(__name__)


@asynccontextmanager
async def exclusive(settings: Settings) -> AsyncIterator[None]:
    """Makes the home folder and keeps other starting processes out of it meanwhile. Ends with the process, too.

    Raises:
        InitError: ``INIT_001`` if the folder cannot be used.
    """
    home = settings.home.resolve()
    try:
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(home / ".start.lock", os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise InitError(
            ErrorCode.INIT_FAILED,
            f"FUROSHIKI_HOME: {str(home)!r} cannot be used ({error.strerror}); expected a folder this user may write to.",
        ) from error
    try:
        await asyncio.to_thread(fcntl.flock, descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


async def ensure_first_keys(settings: Settings, keys: KeyService) -> None:
    """Makes the first keys, unless there were some already.

    Raises:
        InitError: ``INIT_001`` if a key's file exists but cannot be used.
    """
    for path, wanted in ((settings.admin_key_file, _ADMIN), (settings.service_key_file, _SERVICE)):
        if await keys.has_first_key(wanted):
            continue
        credential = await asyncio.to_thread(_read_or_write, path)
        if await keys.install_first_key(credential, wanted):
            _log.info("first_key_written", path=str(path), name=wanted.name, key_id=credential.id)


def _read_or_write(path: Path) -> Credential:
    fresh = mint()
    if write_atomically(path, f"{fresh.plaintext}\n".encode(), mode=0o600, replace=False):
        return fresh
    return _read(path)


def _read(path: Path) -> Credential:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        private = stat.S_ISREG(mode) and not mode & (stat.S_IRWXG | stat.S_IRWXO)
        credential = parse(file.read(1024).decode(errors="replace").strip()) if private else None
    if credential is None:
        raise InitError(
            ErrorCode.INIT_FAILED,
            f"The key file {path.name!r} cannot be used; expected one line 'furo_...' and mode 0600. "
            "Move it away to get a new key.",
            log_context={"path": str(path)},
        )
    return credential
