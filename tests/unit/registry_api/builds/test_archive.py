# SPDX-License-Identifier: Apache-2.0
"""Folders as tars: the same files come out, the same bytes go in, and nothing unsafe does either."""

from __future__ import annotations

import os
import tarfile
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.digest import digest_bytes
from core.errors import ErrorCode, SignatureError
from registry_api.builds.archive import entries, pack, unpack

TREES = st.dictionaries(
    st.lists(st.text("abc-_", min_size=1, max_size=8), min_size=1, max_size=3).map(
        lambda parts: "d/" * 2 + "/".join(parts)
    ),
    st.binary(max_size=2000),
    min_size=1,
    max_size=6,
).filter(lambda tree: not any(path.startswith(f"{other}/") for path in tree for other in tree))


def _write(folder: Path, tree: Mapping[str, bytes]) -> Path:
    for path, data in tree.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def _read(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def _tar(path: Path, name: str, fields: Mapping[str, object]) -> Path:
    with tarfile.open(path, "w:") as tar:
        info = tarfile.TarInfo(name)
        for field, value in fields.items():
            setattr(info, field, value)
        tar.addfile(info)
    return path


def _unpack(archive: Path, target: Path) -> SignatureError:
    with pytest.raises(SignatureError) as refused:
        unpack(archive, target, max_files=10, max_bytes=1000)
    return refused.value


@given(TREES)
def test_unpacking_gives_what_was_packed(tree: dict[str, bytes]) -> None:
    """unpack(pack(folder)) has the same files with the same bytes, and packing the same files gives the same bytes."""
    with TemporaryDirectory() as name:
        home = Path(name)
        pack(_write(home / "one", tree), home / "one.tar")
        pack(_write(home / "two", dict(reversed(tree.items()))), home / "two.tar")
        assert (home / "one.tar").read_bytes() == (home / "two.tar").read_bytes()
        unpack(home / "one.tar", home / "out", max_files=len(tree), max_bytes=sum(map(len, tree.values())))
        assert _read(home / "out") == tree
        found = {entry.path: (entry.size, entry.digest) for entry in entries(home / "one.tar")}
        assert found == {path: (len(data), digest_bytes(data)) for path, data in tree.items()}


def test_programs_stay_executable(tmp_path: Path) -> None:
    """The owner's execute bit survives; no other mode does."""
    _write(tmp_path / "in", {"run.sh": b"#!", "data": b"x"})
    (tmp_path / "in" / "run.sh").chmod(0o4700)
    (tmp_path / "in" / "data").chmod(0o666)
    pack(tmp_path / "in", tmp_path / "a.tar")
    unpack(tmp_path / "a.tar", tmp_path / "out", max_files=2, max_bytes=10)
    modes = {path.name: path.stat().st_mode & 0o7777 for path in (tmp_path / "out").iterdir()}
    assert modes == {"run.sh": 0o755, "data": 0o644}


@pytest.mark.parametrize("special", ["link", "pipe"])
def test_links_and_pipes_do_not_go_in(tmp_path: Path, special: str) -> None:
    """A folder with anything but plain files and folders is refused, naming it."""
    folder = _write(tmp_path / "in", {"data": b"x"})
    if special == "link":
        (folder / special).symlink_to("/etc/passwd")
    else:
        os.mkfifo(folder / special)
    with pytest.raises(SignatureError, match=special) as refused:
        pack(folder, tmp_path / "a.tar")
    assert refused.value.code is ErrorCode.PATH_UNSAFE


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("../evil", {}),
        ("/etc/evil", {}),
        ("a/../../evil", {}),
        ("a\\evil", {}),
        ("link", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
        ("hard", {"type": tarfile.LNKTYPE, "linkname": "data"}),
        ("pipe", {"type": tarfile.FIFOTYPE}),
        ("device", {"type": tarfile.CHRTYPE}),
        ("folder", {"type": tarfile.DIRTYPE}),
    ],
)
def test_unsafe_members_do_not_come_out(tmp_path: Path, name: str, fields: dict[str, object]) -> None:
    """A member that is no plain file at a safe path is refused with SIGN_007, and nothing is written."""
    archive = _tar(tmp_path / "a.tar", name, fields)
    assert _unpack(archive, tmp_path / "out" / "deep").code is ErrorCode.PATH_UNSAFE
    assert _read(tmp_path) == {"a.tar": archive.read_bytes()}
    with pytest.raises(SignatureError):
        entries(archive)


def test_a_second_file_of_one_name_is_refused(tmp_path: Path) -> None:
    """Two members of one name cannot replace each other."""
    with tarfile.open(tmp_path / "a.tar", "w:") as tar:
        tar.addfile(tarfile.TarInfo("data"))
        tar.addfile(tarfile.TarInfo("data"))
    assert _unpack(tmp_path / "a.tar", tmp_path / "out").code is ErrorCode.PATH_UNSAFE


def test_no_more_comes_out_than_is_expected(tmp_path: Path) -> None:
    """More bytes or more files than announced are refused with SIGN_005."""
    pack(_write(tmp_path / "in", {"a": b"12345", "b": b"12345"}), tmp_path / "a.tar")
    for number, limits in enumerate(({"max_files": 1, "max_bytes": 10}, {"max_files": 2, "max_bytes": 9})):
        with pytest.raises(SignatureError) as refused:
            unpack(tmp_path / "a.tar", tmp_path / f"out{number}", **limits)
        assert refused.value.code is ErrorCode.FILE_UNEXPECTED
