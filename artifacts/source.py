# SPDX-License-Identifier: Apache-2.0
"""Where an unverified bundle is read from: a folder or memory.

:class:`DirectorySource` never follows a link below its root: each segment of a path is opened relative to the folder before
it with ``O_NOFOLLOW``, and what was opened must be a plain file by ``fstat``. Opening never blocks on a pipe or a device. The
root itself may be a link, because it is the operator who names it.

Hard links are allowed: stores and package tools use them to save space, and since the verifier returns the bytes it
hashed, somebody who writes through another name changes nothing. Empty folders are ignored: they hold no bytes.
"""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from artifacts.paths import (
    MAX_DEPTH,
    RESERVED_NAMES,
    check_path,
    missing_file,
    path_parts,
    unexpected_file,
    unsafe_path,
)

MAX_FOLDERS: Final = 10_000  # below one root, empty ones included
_ROOT: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
_FOLDER: Final = _ROOT | os.O_NOFOLLOW
_FILE: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_NOT_PLAIN: Final = frozenset({errno.ELOOP, errno.ENOTDIR, errno.ENXIO})


class MemorySource:
    """A bundle held in memory, by path."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files

    def listing(self) -> Iterator[str]:
        """Every path."""
        return iter(self._files)

    def open(self, path: str) -> BinaryIO:
        """Opens one file.

        Raises:
            SignatureError: ``SIGN_006`` if there is none.
        """
        if path not in self._files:
            raise missing_file(path)
        return io.BytesIO(self._files[path])


class DirectorySource:
    """A bundle in a folder that somebody else may be writing to."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def listing(self) -> Iterator[str]:
        """Every plain file below the root.

        Raises:
            SignatureError: ``SIGN_007`` at a link, pipe, socket, device or a folder too deep; ``SIGN_005`` at one folder more
                than ``MAX_FOLDERS``.
            OSError: A folder cannot be read.
        """
        with _opened(str(self._root), _ROOT, None, path=".") as root:
            yield from _files_below(root, (), iter(range(MAX_FOLDERS)))

    def open(self, path: str) -> BinaryIO:
        """Opens one plain file.

        Raises:
            SignatureError: ``SIGN_006`` if there is none, ``SIGN_007`` if it is not a plain file reached by plain folders.
            OSError: It cannot be opened.
        """
        if path not in RESERVED_NAMES:
            check_path(path)
        with _opened(str(self._root), _ROOT, None, path=path) as root:
            return _open_below(root, path_parts(path), path)


def _open_below(folder: int, parts: tuple[str, ...], path: str) -> BinaryIO:
    if len(parts) > 1:
        with _opened(parts[0], _FOLDER, folder, path=path) as below:
            return _open_below(below, parts[1:], path)
    descriptor = _open(parts[0], _FILE, folder, path=path)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise unsafe_path(path, "it is not a plain file")
    return os.fdopen(descriptor, "rb")


def _files_below(folder: int, above: tuple[str, ...], budget: Iterator[int]) -> Iterator[str]:
    with os.scandir(folder) as entries:
        for entry in entries:
            parts = (*above, entry.name)
            path = "/".join(parts)
            if entry.is_file(follow_symlinks=False):
                yield path
            elif not entry.is_dir(follow_symlinks=False):
                raise unsafe_path(path, "it is a link, pipe, socket or device")
            elif len(parts) > MAX_DEPTH:
                raise unsafe_path(path, f"it is nested deeper than {MAX_DEPTH}")
            elif next(budget, None) is None:
                raise unexpected_file(path)
            else:
                with _opened(entry.name, _FOLDER, folder, path=path) as below:
                    yield from _files_below(below, parts, budget)


@contextmanager
def _opened(name: str, flags: int, folder: int | None, *, path: str) -> Iterator[int]:
    descriptor = _open(name, flags, folder, path=path)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _open(name: str, flags: int, folder: int | None, *, path: str) -> int:
    """Opens ``name`` in ``folder``; ``path`` is what the error names."""
    try:
        return os.open(name, flags, dir_fd=folder)
    except FileNotFoundError:
        raise missing_file(path) from None
    except OSError as error:
        if error.errno in _NOT_PLAIN:
            raise unsafe_path(path, "it is, or is reached by, a link or something else than a plain file") from None
        raise
