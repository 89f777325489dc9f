# SPDX-License-Identifier: Apache-2.0
"""Regions of shared memory: what may be registered, who sees it, and what a client can do to its own file."""

from __future__ import annotations

import gc
import os
import socket
from pathlib import Path

import pytest

from artifacts.testing import refused
from core.errors import ErrorCode
from services.shared_memory import regions as module
from services.shared_memory.regions import RegionLimits, Regions, RegionStatus

ON = RegionLimits(enabled=True, regions=3, bytes=1000)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Stands for /dev/shm and holds one object ``/mine`` of 200 bytes."""
    (tmp_path / "mine").write_bytes(bytes(range(200)))
    return tmp_path


@pytest.fixture
def regions(folder: Path) -> Regions:
    found = Regions(ON, folder=folder)
    found.register("acme", "in", "/mine", 100, 50)
    return found


def test_read_and_write(regions: Regions, folder: Path) -> None:
    """Offsets count from the region's own beginning, in both directions."""
    assert regions.read("acme", "in", 10, 5) == bytes(range(110, 115))
    assert regions.read("acme", "in", 50, 0) == b""
    regions.write("acme", "in", 48, b"ab")
    assert (folder / "mine").read_bytes()[147:151] == bytes([147]) + b"ab" + bytes([150])
    assert (folder / "mine").stat().st_size == 200


def test_status(regions: Regions) -> None:
    """A tenant sees what it registered, as it registered it."""
    expected = RegionStatus(name="in", key="/mine", offset=100, byte_size=50)
    assert regions.status("acme", None) == regions.status("acme", "in") == [expected]


def test_tenants_do_not_see_each_other(regions: Regions) -> None:
    """The same name is another region for another tenant, which cannot tell that there is one."""
    assert regions.status("rival", None) == []
    for use in (
        lambda: regions.status("rival", "in"),
        lambda: regions.read("rival", "in", 0, 1),
        lambda: regions.write("rival", "in", 0, b"x"),
    ):
        with refused(ErrorCode.INVALID_FIELD):
            use()
    regions.unregister("rival", None)
    regions.unregister("rival", "in")
    regions.register("rival", "in", "/mine", 0, 10)
    assert [len(regions.read(tenant, "in", 0, 10)) for tenant in ("acme", "rival")] == [10, 10]
    assert regions.read("acme", "in", 0, 1) != regions.read("rival", "in", 0, 1)


def test_keys_of_tenants(folder: Path) -> None:
    """Where there are several tenants, a key must begin with the caller's name: to know a key is not to own it."""
    (folder / "acme~x").write_bytes(bytes(10))
    several = Regions(ON, own_keys=True, folder=folder)
    several.register("acme", "in", "/acme~x", 0, 10)
    for tenant, key in (("rival", "/acme~x"), ("acm", "/acme~x"), ("acme", "/mine"), ("", "/acme~x")):
        with refused(ErrorCode.INVALID_FIELD):
            several.register(tenant, "other", key, 0, 10)


@pytest.mark.parametrize(("offset", "size"), [(0, 51), (50, 1), (51, 0), (-1, 1), (0, -1), (2**62, 2**62), (49, 2)])
def test_out_of_bounds(regions: Regions, offset: int, size: int) -> None:
    """Nothing outside of a region is reached, however the numbers are chosen, though the file goes on."""
    with refused(ErrorCode.INVALID_FIELD):
        regions.read("acme", "in", offset, size)
    with refused(ErrorCode.INVALID_FIELD):
        regions.check("acme", "in", offset, size)


@pytest.mark.parametrize(
    ("offset", "size"), [(0, 201), (200, 1), (-1, 10), (0, 0), (0, -5), (2**70, 1), (0, 2**70), (2**63 - 1, 2**63 - 1)]
)
def test_a_region_beyond_its_object(folder: Path, offset: int, size: int) -> None:
    """A region lies within its object when it is registered, and has at least one byte."""
    with refused(ErrorCode.INVALID_FIELD):
        Regions(RegionLimits(enabled=True, bytes=2**80), folder=folder).register("acme", "r", "/mine", offset, size)


@pytest.mark.parametrize(
    "key",
    [
        *("", "/", "//mine", "/../mine", "..", ".", "/.hidden", "a/b", "/mine/", "/mi\0ne", "/mi\nne", "/é", "/\ud800"),
        *("x" * 300, "/absent", "/link", "/folder", "/fifo", "/socket"),
    ],
)
def test_keys_that_name_no_object(folder: Path, key: str) -> None:
    """A key is one path component, of a regular file that is no link; nothing else is opened."""
    (folder / "link").symlink_to(folder / "mine")
    (folder / "folder").mkdir()
    os.mkfifo(folder / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(folder / "socket"))
        with refused(ErrorCode.INVALID_FIELD):
            Regions(ON, folder=folder).register("acme", "r", key, 0, 1)


@pytest.mark.parametrize("key", ["/mine", "mine"])
def test_the_slash_may_be_left_out(folder: Path, key: str) -> None:
    """As for shm_open, which tritonclient uses, a key may or may not begin with a slash."""
    Regions(ON, folder=folder).register("acme", "r", key, 0, 1)


@pytest.mark.parametrize("name", ["", "n" * 257])
def test_names_have_a_length(folder: Path, name: str) -> None:
    """A name has 1 to 256 characters."""
    with refused(ErrorCode.INVALID_FIELD):
        Regions(ON, folder=folder).register("acme", name, "/mine", 0, 1)


def test_a_name_is_registered_once(regions: Regions) -> None:
    """A second registration is a conflict, and the first stays; unregistered, the name is free."""
    with refused(ErrorCode.RESOURCE_EXISTS):
        regions.register("acme", "in", "/mine", 0, 10)
    regions.unregister("acme", "in")
    regions.register("acme", "in", "/mine", 0, 10)
    assert regions.status("acme", "in")[0].byte_size == 10


def test_unregistering(regions: Regions) -> None:
    """One region or all of the tenant; what does not exist is no error, as with Triton."""
    regions.register("acme", "b", "/mine", 0, 1)
    regions.unregister("acme", "nothing")
    regions.unregister("acme", "in")
    assert [region.name for region in regions.status("acme", None)] == ["b"]
    regions.unregister("acme", None)
    assert regions.status("acme", None) == []


def test_limits(regions: Regions) -> None:
    """Regions and their bytes are bounded per tenant; another tenant has its own."""
    with refused(ErrorCode.QUOTA_EXCEEDED):
        regions.register("acme", "large", "/mine", 0, 951)
    regions.register("acme", "b", "/mine", 0, 200)
    regions.register("acme", "c", "/mine", 0, 200)
    with refused(ErrorCode.QUOTA_EXCEEDED):
        regions.register("acme", "d", "/mine", 0, 1)
    regions.register("rival", "d", "/mine", 0, 200)


def test_the_limit_of_all(regions: Regions, monkeypatch: pytest.MonkeyPatch) -> None:
    """All tenants together hold a bounded number of files open."""
    monkeypatch.setattr(module, "_MOST_IN_ALL", 2)
    regions.register("rival", "in", "/mine", 0, 1)
    with refused(ErrorCode.QUEUE_FULL):
        regions.register("third", "in", "/mine", 0, 1)


@pytest.mark.parametrize("left", [0, 100, 149])
def test_a_truncated_object(regions: Regions, folder: Path, left: int) -> None:
    """A client that truncates its object after it was registered gets an error: no signal, no growth, no foreign bytes."""
    os.truncate(folder / "mine", left)
    with refused(ErrorCode.INVALID_FIELD):
        regions.read("acme", "in", 0, 50)
    with refused(ErrorCode.INVALID_FIELD):
        regions.write("acme", "in", 0, bytes(50))
    assert (folder / "mine").stat().st_size == left


def test_a_replaced_object(regions: Regions, folder: Path) -> None:
    """A region stays what was registered, whatever its key names later."""
    (folder / "mine").unlink()
    (folder / "mine").write_bytes(bytes(500))
    assert regions.read("acme", "in", 0, 1) == bytes([100])


def test_files_are_closed(regions: Regions, folder: Path) -> None:
    """An unregistered region, and one that was refused after it was opened, holds no file open."""
    with refused(ErrorCode.INVALID_FIELD):
        regions.register("acme", "b", "/mine", 0, 900)
    gc.collect()
    assert times_open(folder / "mine") == 1
    regions.unregister("acme", None)
    assert times_open(folder / "mine") == 0


def times_open(path: Path) -> int:
    """How often this process has a file open."""
    return sum(os.path.realpath(entry.path) == str(path) for entry in os.scandir("/proc/self/fd"))


def test_off_is_off(folder: Path) -> None:
    """Where the extension is off, nothing of it works, and the answer says how it is allowed."""
    off = Regions(RegionLimits(), folder=folder)
    assert not off.enabled
    for use in (
        lambda: off.register("acme", "r", "/mine", 0, 1),
        lambda: off.unregister("acme", None),
        lambda: off.status("acme", None),
        lambda: off.read("acme", "r", 0, 1),
        lambda: off.write("acme", "r", 0, b""),
        lambda: off.check("acme", "r", 0, 1),
    ):
        with refused(ErrorCode.AUTH_FORBIDDEN, "FUROSHIKI_SHARED_MEMORY__ENABLED"):
            use()
