# SPDX-License-Identifier: Apache-2.0
"""What a step gives up before it meets a model: network, memory beyond its limit, core dumps, outliving its parent.

The network goes by a network namespace of its own, which has no interface, where the kernel permits one (unshare(2)), and by
a seccomp filter that refuses new sockets (seccomp(2)): also local ones, since servers of the same user listen on some, and
io_uring, which makes sockets past the filter. What was permitted is recorded with the result. Linux only.
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
_IO_URING_SETUP: Final = 425
_OTHER_ABI: Final = 0x40000000  # calls of x32 have this bit
_FAMILIES: Final = (1, 2, 10, 17)  # AF_UNIX, AF_INET, AF_INET6, AF_PACKET
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
    alone = libc.unshare(_CLONE_NEWNET) == 0 or libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNET) == 0
    refused = refuse_sockets()
    if refused is None:
        return "none (namespace, seccomp)" if alone else "none (seccomp)"
    return f"none (namespace; no filter: {refused})" if alone else f"not isolated ({refused})"


def refuse_sockets() -> str | None:
    """Has socket(2) fail with EACCES for this process and what it starts; None, or why that cannot be."""
    libc = ctypes.CDLL(None, use_errno=True)
    known = _SOCKET.get(platform.machine())
    if known is None:
        return f"none for {platform.machine()}"
    program = _filter(*known)
    buffer = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("HxxxxxxP", len(program) // 8, ctypes.addressof(buffer))
    if libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
        return os.strerror(ctypes.get_errno())
    if libc.prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.c_char_p(header), 0, 0) != 0:
        return os.strerror(ctypes.get_errno())
    return None


def _filter(architecture: int, socket: int) -> bytes:
    """Classic BPF over ``struct seccomp_data``: number at 0, architecture at 4, first argument at 16.

    Another architecture or ABI than the one its numbers are of is refused: they would mean something else.
    """
    load, equal, at_least, give = 0x20, 0x15, 0x35, 0x06
    lines = [(load, 0, 0, 4), (equal, 0, None, architecture), (load, 0, 0, 0), (at_least, None, 0, _OTHER_ABI)]
    lines += [(equal, None, 0, _IO_URING_SETUP), (equal, 1, 0, socket), (give, 0, 0, _ALLOW), (load, 0, 0, 16)]
    lines += [(equal, None, 0, family) for family in _FAMILIES]
    lines += [(give, 0, 0, _ALLOW), (give, 0, 0, _REFUSE)]
    last = len(lines) - 1  # a jump to None is one to the refusal
    return b"".join(
        struct.pack("HBBI", code, *(last - at - 1 if way is None else way for way in (yes, no)), value)
        for at, (code, yes, no, value) in enumerate(lines)
    )
