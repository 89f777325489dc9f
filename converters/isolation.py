# SPDX-License-Identifier: Apache-2.0
"""What a step gives up before it meets a model: network, memory beyond its limit, core dumps, outliving its parent.

The network goes by a network namespace of its own, which has no interface, where the kernel permits one (unshare(2)); where
not, by a seccomp filter that refuses sockets of the internet's families (seccomp(2)). Which of the two, or neither, is
recorded with the result. Linux only.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
from typing import Final

_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_SECCOMP: Final = 22
_PR_SET_NO_NEW_PRIVS: Final = 38
_SECCOMP_MODE_FILTER: Final = 2
_SOCKET: Final = {"x86_64": (0xC000003E, 41), "aarch64": (0xC00000B7, 198)}  # AUDIT_ARCH, number of socket(2)
_FAMILIES: Final = (2, 10, 17)  # AF_INET, AF_INET6, AF_PACKET
_ALLOW: Final = 0x7FFF0000
_REFUSE: Final = 0x00050000 | errno.EACCES


def limit(*, memory_bytes: int, cpu_seconds: int, file_bytes: int) -> None:
    """Bounds this process and what it starts.

    Raises:
        ValueError: A limit is above what this process itself is allowed.
        OSError: The kernel refuses one.
    """
    for kind, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, file_bytes),
        (resource.RLIMIT_CORE, 0),
    ):
        hard = resource.getrlimit(kind)[1]
        bounded = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(kind, (bounded, bounded))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # writing beyond the limit fails with EFBIG instead of a silent death


def die_with_parent() -> None:
    """Has the kernel kill this process when its parent ends, however that ends."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def leave_network() -> str:
    """Takes the network away from this process and what it starts; how, for the record."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) == 0 or libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0:
        return "none (namespace)"
    return refuse_sockets()


def refuse_sockets() -> str:
    """Has socket(2) fail with EACCES for the internet's families, for this process and what it starts."""
    libc = ctypes.CDLL(None, use_errno=True)
    known = _SOCKET.get(platform.machine())
    if known is None:
        return f"not isolated (no filter for {platform.machine()})"
    program = _filter(*known)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return f"not isolated ({os.strerror(ctypes.get_errno())})"
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.c_char_p(header), 0, 0) != 0:
        return f"not isolated ({os.strerror(ctypes.get_errno())})"
    return "none (seccomp)"


def _filter(architecture: int, socket: int) -> bytes:
    """Classic BPF over ``struct seccomp_data``: number at 0, architecture at 4, first argument at 16."""
    load, equal, give = 0x20, 0x15, 0x06
    lines = [(load, 0, 0, 4), (equal, 0, len(_FAMILIES) + 3, architecture), (load, 0, 0, 0)]
    lines += [(equal, 0, len(_FAMILIES) + 1, socket), (load, 0, 0, 16)]
    lines += [(equal, len(_FAMILIES) - index, 0, family) for index, family in enumerate(_FAMILIES)]
    lines += [(give, 0, 0, _ALLOW), (give, 0, 0, _REFUSE)]
    return b"".join(struct.pack("HBBI", *line) for line in lines)
