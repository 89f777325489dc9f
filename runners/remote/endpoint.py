# SPDX-License-Identifier: Apache-2.0
"""The runner's Unix socket: who may reach it, and how a connection begins.

The socket has mode 0600 in a folder of mode 0700 that belongs to this user; each end asks the kernel who the other one is
(``SO_PEERCRED``) and talks to its own user only. A connection begins with eight bytes each way that carry the descriptor of
the sender's shared memory (``SCM_RIGHTS``); event loops cannot pass descriptors, so this is done before the socket is given
to one. A file lock beside the socket, which the kernel drops with its process, tells a stale socket from one in use. Linux
only.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import socket
import stat
import struct
from pathlib import Path
from typing import Final

from core.errors import ErrorCode, InitError
from runners.remote.framing import ProtocolError

MAGIC: Final = b"furo\x00\x00\x00\x01"  # the last byte counts incompatible changes
_LONGEST_PATH: Final = 107  # linux/un.h, without the final zero
_BACKLOG: Final = 128
_GREETING_S: Final = 5.0
_CREDENTIALS: Final = struct.Struct("3i")  # pid, uid, gid


class Listener:
    """A listening socket that no other process of this machine listens on.

    Args:
        path: Where; its folder is made if it is missing.

    Raises:
        InitError: ``INIT_001`` if the path is too long, the folder is open to others, or another runner listens there.
    """

    def __init__(self, path: Path) -> None:
        if len(os.fsencode(path)) > _LONGEST_PATH:
            raise _refused(
                path, f"has more than {_LONGEST_PATH} bytes; set FUROSHIKI_SPLIT__SOCKET_DIR to a shorter folder"
            )
        _private(path.parent)
        self.path = path
        self._lock = os.open(path.with_suffix(".lock"), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._lock)
            raise _refused(path, "is another runner's") from None
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(str(path))
        path.chmod(0o600)
        self.socket.listen(_BACKLOG)
        self.socket.setblocking(False)

    def close(self) -> None:
        """Takes the socket away and lets another runner have its place. May be called twice."""
        if self._lock >= 0:
            self.socket.close()
            self.path.unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = -1


async def connect(path: Path) -> socket.socket:
    """A connection to the runner.

    Raises:
        OSError: Nobody listens.
        ProtocolError: Another user does.
    """
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connection, str(path))
        check_peer(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def check_peer(connection: socket.socket) -> None:
    """Raises ProtocolError unless the other end runs as this user."""
    _, uid, _ = _CREDENTIALS.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size))
    if uid != os.getuid():
        raise ProtocolError(f"the other end runs as user {uid}; this process as {os.getuid()}")


async def greet(connection: socket.socket, fd: int) -> int:
    """Gives the other end ``fd`` and returns a descriptor of its; the caller closes both.

    Raises:
        ProtocolError: The other end speaks something else, or nothing for five seconds.
        OSError: The connection broke.
    """
    socket.send_fds(connection, [MAGIC], [fd])
    loop = asyncio.get_running_loop()
    readable = asyncio.Event()
    loop.add_reader(connection, readable.set)
    try:
        async with asyncio.timeout(_GREETING_S):
            await readable.wait()
    except TimeoutError:
        raise ProtocolError("no greeting") from None
    finally:
        loop.remove_reader(connection)
    said, received, _, _ = socket.recv_fds(connection, len(MAGIC), 4)
    if said != MAGIC or len(received) != 1:
        for other in received:
            os.close(other)
        raise ProtocolError(f"a greeting of {said!r} with {len(received)} descriptors")
    return received[0]


def _private(folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise _refused(folder, "is not a folder of this user alone (mode 0700)")


def _refused(path: Path, why: str) -> InitError:
    return InitError(ErrorCode.INIT_FAILED, f"The runner cannot listen: {str(path)!r} {why}.")
