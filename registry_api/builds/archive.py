# SPDX-License-Identifier: Apache-2.0
"""A folder as one uncompressed tar, and back.

Law: ``unpack(pack(folder))`` has the same files with the same bytes, and packing the same files gives the same bytes.

Rules. Only regular files and folders go in or come out: a link, a device, an absolute path, ``..`` or a second file of
one name is refused before anything of it is written. Unpacking never writes more than it is told to expect.
Uncompressed, because weights hardly shrink: xz, the Bento default, takes a minute for a gigabyte.
"""

from __future__ import annotations

import os
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final

from artifacts.digest import StreamingDigest
from artifacts.manifest import FileEntry, check_path
from core.errors import ErrorCode, SignatureError

CHUNK_BYTES: Final = 1 << 20


def pack(folder: Path, target: Path) -> None:
    """Writes every file of ``folder`` into the tar ``target``, sorted, without owners and times.

    Raises:
        SignatureError: ``SIGN_007`` if the folder holds anything but regular files and folders.
    """
    with tarfile.open(target, "x:", format=tarfile.PAX_FORMAT) as tar:
        for path in sorted(_files(folder), key=lambda path: path.relative_to(folder).as_posix()):
            with path.open("rb") as file:
                info = tarfile.TarInfo(path.relative_to(folder).as_posix())
                status = os.fstat(file.fileno())
                info.size, info.mode = status.st_size, 0o755 if status.st_mode & 0o100 else 0o644
                tar.addfile(info, file)


def _files(folder: Path) -> Iterator[Path]:
    for path in folder.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise SignatureError(ErrorCode.PATH_UNSAFE, f"{path.relative_to(folder)} is not a regular file.")
        if path.is_file():
            yield path


def entries(archive: Path) -> tuple[FileEntry, ...]:
    """Path, size and digest of every file in the tar, sorted by path.

    Raises:
        SignatureError: ``SIGN_007`` if the tar holds anything that :func:`unpack` would refuse.
    """
    found = []
    with tarfile.open(archive, "r:") as tar:
        for member in _members(tar):
            digest = StreamingDigest()
            for chunk in _chunks(_open(tar, member)):
                digest.update(chunk)
            found.append(FileEntry(path=member.name, size=digest.size, digest=digest.value))
    return tuple(sorted(found, key=lambda entry: entry.path))


def unpack(archive: Path, target: Path, *, max_files: int, max_bytes: int) -> None:
    """Writes the files of the tar into the new folder ``target``.

    Args:
        archive: An uncompressed tar.
        target: Must not exist; made readable for its owner only.
        max_files: The most files accepted.
        max_bytes: The most bytes accepted, all files together.

    Raises:
        SignatureError: ``SIGN_007`` on an unsafe member, ``SIGN_005`` when there is more than expected.
    """
    target.mkdir(mode=0o700, parents=True)
    with tarfile.open(archive, "r:") as tar:
        for count, member in enumerate(_members(tar), start=1):
            max_bytes -= member.size
            if count > max_files or max_bytes < 0:
                raise SignatureError(ErrorCode.FILE_UNEXPECTED, "The archive holds more than its manifest lists.")
            path = target / member.name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                for chunk in _chunks(_open(tar, member)):
                    file.write(chunk)
            path.chmod(0o755 if member.mode & 0o100 else 0o644)


def _members(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    seen = set()
    for member in tar:
        if not member.isreg() or member.issparse() or member.name in seen:
            raise SignatureError(ErrorCode.PATH_UNSAFE, f"The archive holds {member.name[:200]!r}, not a plain file.")
        seen.add(check_path(member.name))
        yield member


def _open(tar: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    file = tar.extractfile(member)
    assert file is not None  # a regular file always has content
    return file


def _chunks(file: IO[bytes]) -> Iterator[bytes]:
    while chunk := file.read(CHUNK_BYTES):
        yield chunk
