# SPDX-License-Identifier: Apache-2.0
"""Verified bytes that cross to another process and cannot change on the way.

They lie in anonymous memory (``memfd``) sealed against writing and any change of size, for everybody and for ever; the kernel
frees it with the last process that has it. So what was hashed is what is loaded, by the first process and by each that
takes its place, without a file that somebody could write to and without verifying again.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, TypeAlias

from core.errors import ErrorCode, Unavailable

Index: TypeAlias = Sequence[tuple[str, int]]  # path and size of each file, in the order they lie in

_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


class Sealed:
    """Sealed memory; :attr:`fd` may be handed to a child.

    Args:
        parts: What it holds, one after the other.

    Raises:
        Unavailable: ``DEVICE_001`` if there is no memory for it.
    """

    def __init__(self, parts: Iterable[bytes]) -> None:
        self._file = os.fdopen(os.memfd_create("furoshiki-model", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "wb", 0)
        try:
            for part in parts:
                _write(self._file.fileno(), part)
            fcntl.fcntl(self.fd, fcntl.F_ADD_SEALS, _SEALS)
        except OSError as error:
            self.close()
            raise Unavailable(
                ErrorCode.DEVICE_UNAVAILABLE, f"There is no memory for the model: {error.strerror}.", retry_after=1.0
            ) from None

    @property
    def fd(self) -> int:
        """Its descriptor."""
        return self._file.fileno()

    def close(self) -> None:
        """Frees this process's hold on it. May be called twice."""
        self._file.close()


class SealedFiles(Sealed):
    """The files of a bundle in sealed memory."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        super().__init__(files.values())
        self.index: Index = [(path, len(data)) for path, data in files.items()]


def unsealed(fd: int) -> bytes:
    """What sealed memory holds.

    Raises:
        ValueError: It is not sealed.
    """
    return unsealed_files(fd, [("", os.fstat(fd).st_size)])[""]


def unsealed_files(fd: int, index: Index) -> dict[str, bytes]:
    """The files of a bundle by path; each is copied once.

    Raises:
        ValueError: It is not sealed, or does not hold exactly those files.
    """
    if fcntl.fcntl(fd, fcntl.F_GET_SEALS) & _SEALS != _SEALS:
        raise ValueError("memory that is not sealed")
    size, expected = os.fstat(fd).st_size, sum(length for _, length in index)
    if size != expected:
        raise ValueError(f"sealed memory of {size} bytes; the files have {expected}")
    if not size:
        return {path: b"" for path, _ in index}  # nothing cannot be mapped
    files: dict[str, bytes] = {}
    start = 0
    with mmap.mmap(fd, size, access=mmap.ACCESS_READ) as memory:
        for path, length in index:
            files[path] = memory[start : start + length]
            start += length
    return files


def _write(fd: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(fd, rest) :]
