# SPDX-License-Identifier: Apache-2.0
"""Sources: only plain files, reached without following a link, whoever else writes to the folder."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from artifacts import source as source_module
from artifacts.source import DirectorySource, MemorySource
from artifacts.testing import refused
from core.errors import ErrorCode, SignatureError


def a_link(path: Path) -> None:
    path.symlink_to("/etc/hostname")


def a_dead_link(path: Path) -> None:
    path.symlink_to("nowhere")


def a_folder_link(path: Path) -> None:
    path.symlink_to("/etc")


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(os.path.relpath(path))


SPECIAL: list[Callable[[Path], None]] = [a_link, a_dead_link, a_folder_link, a_pipe, a_socket]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)  # a socket's path must be short
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x.bin").write_bytes(b"x")
    (tmp_path / "manifest.json").write_bytes(b"{}")
    return tmp_path


def test_listing_names_every_file(root: Path) -> None:
    """All files below the root are listed by relative path; empty folders are not."""
    (root / "empty").mkdir()
    assert set(DirectorySource(root).listing()) == {"a/b/x.bin", "manifest.json"}


@pytest.mark.parametrize("make", SPECIAL)
@pytest.mark.parametrize("place", ["odd", "a/b/odd"])
def test_listing_refuses_special_files(root: Path, make: Callable[[Path], None], place: str) -> None:
    """A link, pipe or socket anywhere below the root is refused by name."""
    make(root / place)
    with refused(ErrorCode.PATH_UNSAFE, place):
        list(DirectorySource(root).listing())


@pytest.mark.parametrize("make", SPECIAL)
def test_open_refuses_special_files(root: Path, make: Callable[[Path], None]) -> None:
    """Opening a link, pipe or socket is refused by name and never blocks."""
    make(root / "a" / "odd")
    with refused(ErrorCode.PATH_UNSAFE, "a/odd"):
        DirectorySource(root).open("a/odd")


def test_open_refuses_a_link_on_the_way(root: Path) -> None:
    """A folder that is a link is not followed, even to a place inside the bundle."""
    (root / "link").symlink_to("a")
    with refused(ErrorCode.PATH_UNSAFE, "link/b/x.bin"):
        DirectorySource(root).open("link/b/x.bin")


def test_open_refuses_a_folder(root: Path) -> None:
    """A folder is not a file."""
    with refused(ErrorCode.PATH_UNSAFE, "'a/b'"):
        DirectorySource(root).open("a/b")


@pytest.mark.parametrize("path", ["../outside", "/etc/hostname", "a/../manifest.json", "a//b", ""])
def test_open_refuses_paths_that_leave(root: Path, path: str) -> None:
    """A path that could leave the root is refused before anything is opened."""
    (root.parent / "outside").write_bytes(b"secret")
    with refused(ErrorCode.PATH_UNSAFE):
        DirectorySource(root).open(path)


@pytest.mark.parametrize("path", ["none", "a/none", "none/x", "manifest.json/x"])
def test_open_reports_what_is_missing(root: Path, path: str) -> None:
    """A path that leads nowhere is refused by name, as missing or as unsafe."""
    with pytest.raises(Exception, match=r"SIGN_00[67]") as caught:
        DirectorySource(root).open(path)
    assert path in str(caught.value)


def test_root_may_be_a_link(root: Path) -> None:
    """The root is named by the operator and may be a link, as in 'current -> v3'."""
    (root.parent / "current").symlink_to(root)
    source = DirectorySource(root.parent / "current")
    assert "a/b/x.bin" in set(source.listing())
    with source.open("a/b/x.bin") as stream:
        assert stream.read() == b"x"


def test_absent_root_is_a_missing_file(tmp_path: Path) -> None:
    """A folder that is not there holds no manifest."""
    with refused(ErrorCode.FILE_MISSING, "manifest.json"):
        DirectorySource(tmp_path / "none").open("manifest.json")


def test_hard_links_are_plain_files(root: Path) -> None:
    """A hard link is read like any file: what counts is the bytes that were hashed."""
    os.link(root / "a" / "b" / "x.bin", root / "hard")
    with DirectorySource(root).open("hard") as stream:
        assert stream.read() == b"x"


def test_depth_is_bounded(tmp_path: Path) -> None:
    """Folders nested deeper than any legal path are refused."""
    tmp_path.joinpath(*["d"] * 40).mkdir(parents=True)
    with refused(ErrorCode.PATH_UNSAFE, "nested deeper"):
        list(DirectorySource(tmp_path).listing())


def test_number_of_folders_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A flood of empty folders ends the listing."""
    monkeypatch.setattr(source_module, "MAX_FOLDERS", 3)
    for name in "abcd":
        (tmp_path / name).mkdir()
    with refused(ErrorCode.FILE_UNEXPECTED):
        list(DirectorySource(tmp_path).listing())


def test_no_descriptor_is_left_open(root: Path) -> None:
    """Listing, opening and failing leave no file descriptor behind."""
    (root / "a" / "link").symlink_to("b")
    source = DirectorySource(root)
    before = len(os.listdir("/proc/self/fd"))
    source.open("a/b/x.bin").close()
    for path in ("a/link", "a/link/x.bin", "a/none", "a/b"):
        with pytest.raises(SignatureError):
            source.open(path)
    with refused(ErrorCode.PATH_UNSAFE):
        list(source.listing())
    assert len(os.listdir("/proc/self/fd")) == before


def test_memory_source() -> None:
    """A memory source lists and opens what it was given."""
    source = MemorySource({"x": b"1"})
    assert list(source.listing()) == ["x"]
    with source.open("x") as stream:
        assert stream.read() == b"1"
    with refused(ErrorCode.FILE_MISSING, "'y'"):
        source.open("y")
