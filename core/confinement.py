# SPDX-License-Identifier: Apache-2.0
"""What of the file system a process keeps before it meets a model that may be hostile.

Landlock (Linux 5.13, landlock(7)) lets a process without privileges give up files for ever, for itself and what it starts:
beyond the named folders nothing can be read, written, created or removed, whoever owns it. Newer kernels also take TCP
(6.7) and signals and abstract sockets of processes outside (6.12). Capabilities go as well: without them the kernel keeps the
memory and environment of processes outside from it, even if its user is root. What the kernel could do is told in words, for
the record; nothing is assumed.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

_CREATE_RULESET: Final = 444  # the same numbers on every architecture
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_VERSION: Final = 1  # LANDLOCK_CREATE_RULESET_VERSION
_PATH_BENEATH: Final = 1
_NO_NEW_PRIVILEGES: Final = 38  # prctl(2)
_CAPABILITIES: Final = struct.pack("Ii", 0x20080522, 0)  # capset(2): _LINUX_CAPABILITY_VERSION_3, this process
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_FOLDER = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE: Final = 1 << 14
_READ: Final = _EXECUTE | _READ_FILE | _READ_FOLDER
_OF_FILES: Final = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | 1 << 15
_RIGHTS: Final = (
    (1 << 13) - 1,
    (1 << 14) - 1,
    (1 << 15) - 1,
    (1 << 15) - 1,
    (1 << 16) - 1,
)  # known to ABI 1, 2, 3, 4, 5
_ABI_OF_TCP: Final = 4
_ABI_OF_SCOPES: Final = 6
_SYSTEM: Final = ("/usr", "/lib", "/lib64", "/bin", "/etc/ld.so.cache", "/etc/localtime", "/proc", "/sys")
_TREE: Final = Path(__file__).resolve().parents[1]
_DEVICES: Final = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")


def abi() -> int:
    """Landlock's version on this kernel; 0: it has none, or it is switched off."""
    return max(0, int(ctypes.CDLL(None).syscall(_CREATE_RULESET, None, 0, _VERSION)))


def confine(*, read: Iterable[Path] = (), write: Iterable[Path] = ()) -> str:
    """Leaves this process the system's programs, Python's own folders and what is named; the rest is gone for ever.

    Args:
        read: Files and folders that may still be read and executed; what does not exist is passed over.
        write: Files and folders in which everything may be done.

    Returns:
        ``confined (landlock N)``; with the number of threads that run already, which are not; or ``not confined (REASON)``
        where the kernel cannot.
    """
    version = abi()
    if version == 0:
        return "not confined (no landlock)"
    rights = _RIGHTS[min(version, len(_RIGHTS)) - 1]
    ruleset = _ruleset(version, rights)
    if ruleset < 0:
        return f"not confined ({os.strerror(ctypes.get_errno())})"
    try:
        for path in (*map(Path, _SYSTEM), *python_folders(), *read):
            _allow(ruleset, path, _READ)
        _allow(ruleset, _TREE, _READ_FOLDER)  # names alone: modules are looked for there
        for path in map(Path, _DEVICES):
            _allow(ruleset, path, _READ_FILE | _WRITE_FILE)
        for path in write:
            _allow(ruleset, path, rights)
        return _restrict(ruleset, version)
    finally:
        os.close(ruleset)


def python_folders() -> tuple[Path, ...]:
    """What the interpreter reads: its installation, its environment, and where modules are found but in the working tree.

    Of that tree the source packages alone: a registry's state may lie beside them.
    """
    entries = (Path(entry).resolve() for entry in sys.path if entry)
    own = tuple(path.parent for path in _TREE.glob("*/__init__.py"))
    found = {
        Path(sys.prefix).resolve(),
        Path(sys.base_prefix).resolve(),
        *own,
        *(each for each in entries if each != _TREE),
    }
    return tuple(sorted(found))


def _ruleset(version: int, rights: int) -> int:
    tcp = 0b11 if version >= _ABI_OF_TCP else 0
    scopes = 0b11 if version >= _ABI_OF_SCOPES else 0
    fields = (rights, tcp, scopes)[: 1 + (version >= _ABI_OF_TCP) + (version >= _ABI_OF_SCOPES)]
    attributes = struct.pack(f"{len(fields)}Q", *fields)
    return int(ctypes.CDLL(None, use_errno=True).syscall(_CREATE_RULESET, attributes, len(attributes), 0))


def _allow(ruleset: int, path: Path, rights: int) -> None:
    with suppress(FileNotFoundError):
        opened = os.open(path, os.O_PATH | os.O_CLOEXEC)
        try:
            granted = rights if stat.S_ISDIR(os.fstat(opened).st_mode) else rights & _OF_FILES
            rule = struct.pack("=Qi", granted, opened)
            if ctypes.CDLL(None, use_errno=True).syscall(_ADD_RULE, ruleset, _PATH_BENEATH, rule, 0) != 0:
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
        finally:
            os.close(opened)


def _restrict(ruleset: int, version: int) -> str:
    libc = ctypes.CDLL(None, use_errno=True)
    if (
        libc.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0) != 0
        or libc.capset(_CAPABILITIES, bytes(24)) != 0
        or libc.syscall(_RESTRICT_SELF, ruleset, 0) != 0
    ):
        return f"not confined ({os.strerror(ctypes.get_errno())})"
    others = len(os.listdir("/proc/self/task")) - 1
    return f"confined (landlock {version}{f', but for {others} threads' if others else ''})"
