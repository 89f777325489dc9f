# SPDX-License-Identifier: Apache-2.0
"""Keys that sign our own tokens, as files: ``<folder>/<milliseconds since 1970>-<kid>.key``, 32 bytes, 0600 in a 0700 folder.

The newest key signs. When it is older than ``rotate_s`` a new one is made; the old one checks tokens for ``overlap_s`` more,
which is longer than any token lives, and is then removed. Every process that shares the folder sees a change within
a second. A file or folder that others may read is refused, never repaired: who read it is unknown.
"""

from __future__ import annotations

import asyncio
import math
import os
import re
import secrets
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from artifacts.durable import write_atomically
from artifacts.tokens.minting import MintingKey, key_set
from core.clock import Clock
from core.errors import ErrorCode, InitError, Unavailable

_NAME: Final = re.compile(r"(\d{13})-[A-Za-z0-9_-]{43}\.key")
_SECRET_BYTES: Final = 32
_SCAN_S: Final = 1.0  # seconds for which the folder is not looked at again
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


class FileMintingKeys:
    """The minting keys of one folder; implements :class:`artifacts.tokens.keysource.KeySource`.

    Args:
        folder: Of the keys; made at first use.
        clock: For their age.
        rotate_s: Seconds after which a new key signs.
        overlap_s: Seconds a key that was replaced is still believed; at least the lifetime of a token.
    """

    def __init__(self, folder: Path, *, clock: Clock, rotate_s: float, overlap_s: float) -> None:
        self._folder = folder
        self._clock = clock
        self._rotate = timedelta(seconds=rotate_s)
        self._overlap = timedelta(seconds=overlap_s)
        self._keys: tuple[MintingKey, ...] = ()  # the newest first
        self._scanned_at = -math.inf
        self._turn = asyncio.Lock()

    async def signing(self) -> MintingKey:
        """The key that signs now; a new one if there was none or it is due.

        Raises:
            InitError: ``INIT_001`` if the folder or a key cannot be used.
        """
        keys = await self._current()
        if keys and self._clock.now() - keys[0].made_at < self._rotate:
            return keys[0]
        return await self.rotate()

    async def rotate(self, *, forget_old: bool = False) -> MintingKey:
        """Makes a new key that signs from now on.

        Args:
            forget_old: Whether the others are removed at once, which ends every token they signed.

        Raises:
            InitError: ``INIT_001`` if the folder cannot be used.
        """
        async with self._turn:
            self._keys = await asyncio.to_thread(self._make, forget_old)
            self._scanned_at = self._clock.monotonic()
            return self._keys[0]

    async def read(self) -> bytes:
        """The public halves of all keys that are believed."""
        try:
            return key_set(await self._current())
        except InitError as error:
            raise Unavailable(ErrorCode.STORE_UNAVAILABLE, error.message, log_context=error.log_context) from error

    async def _current(self) -> tuple[MintingKey, ...]:
        async with self._turn:
            if self._clock.monotonic() - self._scanned_at >= _SCAN_S:
                self._keys = await asyncio.to_thread(self._scan)
                self._scanned_at = self._clock.monotonic()
            return self._keys

    def _make(self, forget_old: bool) -> tuple[MintingKey, ...]:
        old = self._scan()
        now = self._clock.now()
        moment = max(now, old[0].made_at + timedelta(milliseconds=1)) if old else now  # also after a step of the clock
        key = MintingKey.of(secrets.token_bytes(_SECRET_BYTES), moment)
        write_atomically(self._path(key), key.secret, mode=0o600, replace=False)
        if forget_old:
            for one in old:
                self._path(one).unlink(missing_ok=True)
        return self._scan()

    def _scan(self) -> tuple[MintingKey, ...]:
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _refuse_shared(self._folder, self._folder.lstat().st_mode)
            found = [_read(path) for path in sorted(self._folder.glob("*.key"), reverse=True)]
        except OSError as error:
            raise _unusable(self._folder, error.strerror or "it cannot be read") from error
        keys = [key for key in found if key is not None]
        return tuple(key for at, key in enumerate(keys) if at == 0 or self._kept(key, replaced_at=keys[at - 1].made_at))

    def _kept(self, key: MintingKey, *, replaced_at: datetime) -> bool:
        if self._clock.now() < replaced_at + self._overlap:
            return True
        self._path(key).unlink(missing_ok=True)
        return False

    def _path(self, key: MintingKey) -> Path:
        return self._folder / f"{int(key.made_at.timestamp() * 1000):013}-{key.kid}.key"


def _read(path: Path) -> MintingKey | None:
    """The key of a file; None if another process has removed it meanwhile."""
    named = _NAME.fullmatch(path.name)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    with os.fdopen(descriptor, "rb") as file:
        mode = os.fstat(descriptor).st_mode
        _refuse_shared(path, mode)
        secret = file.read(_SECRET_BYTES + 1)
    if named is None or not stat.S_ISREG(mode) or len(secret) != _SECRET_BYTES:
        raise _unusable(path, "it is no such key")
    return MintingKey.of(secret, datetime.fromtimestamp(int(named[1]) / 1000, UTC))


def _refuse_shared(path: Path, mode: int) -> None:
    if mode & _OTHERS or stat.S_ISLNK(mode):
        wanted = "0700" if stat.S_ISDIR(mode) else "0600"
        raise _unusable(path, f"its mode is {stat.S_IMODE(mode):04o}; expected {wanted}")


def _unusable(path: Path, reason: str) -> InitError:
    return InitError(
        ErrorCode.INIT_FAILED,
        f"The token key {path.name!r} cannot be used: {reason}. Repair it, or move it away to get a new key.",
        log_context={"path": str(path)},
    )
