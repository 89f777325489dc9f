# SPDX-License-Identifier: Apache-2.0
"""The table of contents of a backup, ``backup.json``: what it was taken from, and the SHA-256 of every file and of itself.

The digests find a backup that was cut short or damaged. They are no signature: who can write to a backup can write new ones.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, NoReturn, TypeAlias

import orjson

from core.errors import ErrorCode, StoreError

MANIFEST: Final = "backup.json"
DATABASE: Final = "database"  # the file of the database's own form
BLOBS: Final = "blobs.txt"  # one line per blob that a row needs: tenant, space, digest

_FORMAT: Final = "furoshiki-backup/1"
_CHUNK: Final = 1 << 20

Backend: TypeAlias = Literal["sqlite", "postgresql"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupManifest:
    """What a backup holds."""

    backend: Backend
    revision: str  # of the schema
    created_at: str  # RFC 3339
    blobs: int  # lines of the list of blobs
    files: Mapping[str, tuple[int, str]]  # name to bytes and SHA-256 in hex

    def to_bytes(self) -> bytes:
        """The file."""
        fields = {"format": _FORMAT, **asdict(self)}
        return orjson.dumps({**fields, "digest": _digest(fields)}, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)


def described(folder: Path, names: tuple[str, ...]) -> dict[str, tuple[int, str]]:
    """Size and digest of files of a folder."""
    return {name: _measure(folder / name) for name in names}


def read_manifest(folder: Path) -> BackupManifest:
    """The manifest of a backup whose every byte is as it was written.

    Raises:
        StoreError: ``STORE_003`` if there is no backup, or it was cut short or altered.
    """
    try:
        fields: dict[str, Any] = orjson.loads((folder / MANIFEST).read_bytes())
        digest = fields.pop("digest")
        intact = fields.pop("format") == _FORMAT and digest == _digest({"format": _FORMAT, **fields})
    except (OSError, ValueError, KeyError, AttributeError) as error:
        _refuse(folder, f"has no readable {MANIFEST}", error)
    if not intact:
        _refuse(folder, f"{MANIFEST} was altered, or is of a kind this release does not know", None)
    files = {name: (size, sha256) for name, (size, sha256) in fields.pop("files").items()}
    for name, expected in files.items():
        try:
            found = _measure(folder / name)
        except OSError as error:
            _refuse(folder, f"has no file {name!r}", error)
        if found != expected:
            _refuse(folder, f"{name!r} has {found[0]} bytes, expected {expected[0]} with another digest", None)
    return BackupManifest(files=files, **fields)


def _measure(path: Path) -> tuple[int, str]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            size += len(chunk)
    return size, digest.hexdigest()


def _digest(fields: Mapping[str, Any]) -> str:
    return hashlib.sha256(orjson.dumps(fields, option=orjson.OPT_SORT_KEYS)).hexdigest()


def _refuse(folder: Path, why: str, cause: Exception | None) -> NoReturn:
    raise StoreError(
        ErrorCode.BLOB_CORRUPT, f"The backup {str(folder)!r} {why}. Nothing was changed; take another backup."
    ) from cause
