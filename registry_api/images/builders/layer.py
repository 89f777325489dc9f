# SPDX-License-Identifier: Apache-2.0
"""Writes one layer of an image: a tar, compressed, in an OCI layout.

Law: the same entries give the same bytes, in any order, on any machine with the same zlib. Entries are sorted by path, every
folder on the way has its own entry, everything belongs to root and is of the year 1970, modes are 0755 or 0644 (but for
``mode``), and the gzip header has neither name nor time.

A file is read once: what is hashed against its expected digest is what goes into the layer.
"""

from __future__ import annotations

import io
import os
import tarfile
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from artifacts.digest import Digest, StreamingDigest
from artifacts.oci.blobs import BlobWriter
from artifacts.oci.layout import Layout
from artifacts.oci.media import LAYER_TAR_GZIP
from core.errors import ErrorCode, SignatureError
from registry_api.images.builders.interface import BuiltLayer

GZIP_LEVEL: Final = 4
"""3.6 % larger than level 6 and three times as fast: 90.6 MB in 5.3 s against 87.4 MB in 17.1 s for the serving packages."""
_GZIP: Final = 31  # zlib's window bits for a gzip header
_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One path of a layer: a file if it has content, a link if it has a target, otherwise a folder."""

    path: str  # below /, without a leading slash
    content: Path | bytes | None = None
    target: str | None = None  # of a symbolic link
    mode: int | None = None  # None: 0644 or 0755, as the file is executable or not; folders 0755
    digest: Digest | None = None  # the content must have; None: any


class _Gzip(io.RawIOBase):
    """Compresses what it is given into a blob, and hashes it on the way."""

    def __init__(self, blob: BlobWriter) -> None:
        super().__init__()
        self._blob = blob
        self._packer = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, _GZIP)
        self.plain = StreamingDigest()

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override] # tarfile gives bytes only
        self.plain.update(data)
        self._blob.write(self._packer.compress(data))
        return len(data)

    def finish(self) -> None:
        self._blob.write(self._packer.flush())


def write_layer(layout: Layout, name: str, entries: Iterable[Entry]) -> BuiltLayer:
    """Writes a layer, in constant memory.

    Args:
        layout: Where to.
        name: What it is called in reports and annotations.
        entries: What it holds.

    Raises:
        SignatureError: ``SIGN_004`` if a file is not what its entry says; nothing is written then.
        Unavailable: ``STORE_004`` if the disk is full.
    """
    with layout.writer() as blob:
        packed = _Gzip(blob)
        with tarfile.open(fileobj=packed, mode="w|", format=tarfile.PAX_FORMAT, bufsize=_PIECE) as tar:
            for entry in _with_folders(entries):
                _add(tar, entry)
        packed.finish()
    return BuiltLayer(
        name=name, blob=blob.described(LAYER_TAR_GZIP), size=packed.plain.size, diff_id=packed.plain.value
    )


def tree(root: Path, below: str = "") -> Iterator[Entry]:
    """An entry for everything below ``root``, put below the folder ``below`` of the image."""
    for folder, names, files in os.walk(root):
        for name in (*names, *files):
            path = Path(folder, name)
            where = (PurePosixPath(below) / path.relative_to(root)).as_posix()
            if path.is_symlink():
                yield Entry(path=where, target=os.readlink(path))
            else:
                yield Entry(path=where, content=path if path.is_file() else None)


def _with_folders(entries: Iterable[Entry]) -> list[Entry]:
    found = {entry.path: entry for entry in entries}
    for path in list(found):
        for parent in PurePosixPath(path).parents:
            if parent.name:
                found.setdefault(parent.as_posix(), Entry(path=parent.as_posix()))
    return [found[path] for path in sorted(found, key=lambda path: path.split("/"))]


def _add(tar: tarfile.TarFile, entry: Entry) -> None:
    info = tarfile.TarInfo(entry.path)
    if entry.target is not None:
        info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry.target, 0o777
        tar.addfile(info)
    elif entry.content is None:
        info.type, info.mode = tarfile.DIRTYPE, 0o755 if entry.mode is None else entry.mode
        tar.addfile(info)
    elif isinstance(entry.content, bytes):
        info.size, info.mode = len(entry.content), 0o644 if entry.mode is None else entry.mode
        tar.addfile(info, io.BytesIO(entry.content))
    else:
        _add_file(tar, info, entry, entry.content)


def _add_file(tar: tarfile.TarFile, info: tarfile.TarInfo, entry: Entry, path: Path) -> None:
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
        status = os.fstat(file.fileno())
        info.size = status.st_size
        info.mode = (0o755 if status.st_mode & 0o100 else 0o644) if entry.mode is None else entry.mode
        seen = _Hashing(file)
        tar.addfile(info, seen)  # type: ignore[arg-type] # tarfile only reads
    if entry.digest is not None and seen.digest.value != entry.digest:
        raise changed_file(entry.path, seen.digest.value, entry.digest)


def changed_file(path: str, got: Digest, expected: Digest) -> SignatureError:
    """A file is not the verified one any more: ``SIGN_004``."""
    return SignatureError(
        ErrorCode.DIGEST_MISMATCH,
        f"{path} is not the verified file any more: got {got}; expected {expected}.",
        details={"path": path},
    )


class _Hashing:
    """Reads a file and hashes what was read."""

    def __init__(self, file: io.BufferedReader) -> None:
        self._file = file
        self.digest = StreamingDigest()

    def read(self, size: int) -> bytes:
        data = self._file.read(size)
        self.digest.update(data)
        return data
