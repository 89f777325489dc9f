# SPDX-License-Identifier: Apache-2.0
"""POSIX shared memory objects, opened by key.

A key is a name in ``/dev/shm`` that a client sent, and held to be exactly that: one path component, no link, a regular file.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

from core.errors import ErrorCode, InvalidRequest

SHARED_MEMORY: Final = Path("/dev/shm")  # noqa: S108 -- where POSIX shared memory lies on Linux

_KEY: Final = re.compile(r"/?([!-,0-~-][!-.0-~]{0,249})")  # printable, no further slash, and no dot first
_FLAGS: Final = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY


def object_name(key: str) -> str:
    """The file name a key stands for; as for ``shm_open``, the leading slash may be left out.

    Raises:
        InvalidRequest: ``VALID_002`` if it is not the name of an object.
    """
    match = _KEY.fullmatch(key)
    if match is None:
        raise invalid(f"Key {key[:80]!r} is not the name of a shared memory object, for example '/input0'.")
    return match[1]


def open_object(folder: Path, name: str) -> int:
    """Opens an object for reading and writing.

    Returns:
        Its file descriptor; the caller closes it.

    Raises:
        InvalidRequest: ``VALID_002`` if there is none of that name, or it is not a regular file.
    """
    try:
        descriptor = os.open(folder / name, _FLAGS)
    except OSError as error:
        raise invalid(f"Shared memory object {name[:80]!r} cannot be opened: {error.strerror}.") from None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise invalid(f"{name[:80]!r} is not a shared memory object.")


def size_of(descriptor: int) -> int:
    """Bytes of an object now."""
    return os.fstat(descriptor).st_size


def invalid(message: str) -> InvalidRequest:
    """The error for a request that names memory wrongly."""
    return InvalidRequest(ErrorCode.INVALID_FIELD, message)
