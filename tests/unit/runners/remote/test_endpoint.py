# SPDX-License-Identifier: Apache-2.0
"""The runner's socket is this user's alone, and only one runner's."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path

import pytest

from artifacts.testing import refused
from core.errors import ErrorCode
from runners.remote import endpoint
from runners.remote.endpoint import MAGIC, Listener, check_peer, connect, greet
from runners.remote.framing import ProtocolError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "runner.sock"


def test_modes(path: Path) -> None:
    """The socket has mode 0600 in a folder of mode 0700, whatever the umask; closing takes it away."""
    before = os.umask(0)
    try:
        listener = Listener(path)
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    listener.close()
    listener.close()
    assert not path.exists()


def test_a_folder_that_others_reach_is_refused(path: Path) -> None:
    """The runner does not listen where another user could."""
    path.parent.mkdir(mode=0o755)
    with refused(ErrorCode.INIT_FAILED, "of this user alone"):
        Listener(path)


def test_a_link_to_a_folder_is_refused(path: Path, tmp_path: Path) -> None:
    """Not even a private folder is used through a symlink, which somebody could turn."""
    (tmp_path / "private").mkdir(mode=0o700)
    path.parent.symlink_to(tmp_path / "private")
    with refused(ErrorCode.INIT_FAILED, "of this user alone"):
        Listener(path)


def test_a_long_path_is_told(tmp_path: Path) -> None:
    """A path the kernel could not bind names the setting to change."""
    with refused(ErrorCode.INIT_FAILED, "FUROSHIKI_SPLIT__SOCKET_DIR"):
        Listener(tmp_path / ("x" * 120) / "runner.sock")


def test_a_second_runner_is_refused(path: Path) -> None:
    """Two runners cannot share a socket; the first keeps it."""
    first = Listener(path)
    with refused(ErrorCode.INIT_FAILED, "another runner"):
        Listener(path)
    assert path.exists()
    first.close()


def test_a_stale_socket_is_replaced(path: Path) -> None:
    """What a killed runner left behind is no obstacle for its successor."""
    path.parent.mkdir(mode=0o700)
    stale = socket.socket(socket.AF_UNIX)
    stale.bind(str(path))
    stale.close()
    listener = Listener(path)
    client = socket.socket(socket.AF_UNIX)
    client.connect(str(path))
    client.close()
    listener.close()


async def test_nobody_listens(path: Path) -> None:
    """Connecting to an absent runner is an OSError, to be tried again."""
    with pytest.raises(OSError, match="No such file"):
        await connect(path)


def test_another_user_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """The kernel says who is at the other end, and only this user may be."""
    here, there = socket.socketpair()
    check_peer(here)
    monkeypatch.setattr(os, "getuid", lambda: 12345)
    with pytest.raises(ProtocolError, match="12345"):
        check_peer(here)
    here.close()
    there.close()


async def test_greeting_hands_over_a_descriptor() -> None:
    """Each end gets a descriptor of the other's file."""
    here, there = pair()
    mine, theirs = os.memfd_create("mine"), os.memfd_create("theirs")
    got_here, got_there = await asyncio.gather(greet(here, mine), greet(there, theirs))
    assert os.fstat(got_here).st_ino == os.fstat(theirs).st_ino
    assert os.fstat(got_there).st_ino == os.fstat(mine).st_ino
    for fd in (mine, theirs, got_here, got_there):
        os.close(fd)
    here.close()
    there.close()


@pytest.mark.parametrize(("said", "descriptors"), [(b"GET / HT", 0), (MAGIC, 0), (MAGIC, 2), (b"furo\0\0\0\2", 1)])
async def test_another_language_is_refused(said: bytes, descriptors: int) -> None:
    """Another greeting, another version, no descriptor or too many: refused, and no descriptor is kept."""
    here, there = pair()
    fd = os.memfd_create("some")
    before = len(os.listdir("/proc/self/fd"))
    socket.send_fds(there, [said], [fd] * descriptors)
    with pytest.raises(ProtocolError, match="greeting"):
        await greet(here, fd)
    assert len(os.listdir("/proc/self/fd")) == before
    os.close(fd)
    here.close()
    there.close()


async def test_silence_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An end that connects and says nothing does not hold its place."""
    monkeypatch.setattr(endpoint, "_GREETING_S", 0.0)
    here, there = pair()
    fd = os.memfd_create("some")
    with pytest.raises(ProtocolError, match="no greeting"):
        await greet(here, fd)
    os.close(fd)
    here.close()
    there.close()


def pair() -> tuple[socket.socket, socket.socket]:
    here, there = socket.socketpair()
    here.setblocking(False)
    there.setblocking(False)
    return here, there
