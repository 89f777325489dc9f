# SPDX-License-Identifier: Apache-2.0
"""Debian packages, unpacked by the real ``dpkg-deb`` and by us: well made ones, and such as nobody should make."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path
from tarfile import DIRTYPE, FIFOTYPE, LNKTYPE, SYMTYPE, TarInfo

import pytest

from artifacts.stores.testing import refused
from core.errors import ErrorCode
from registry_api.images.builders.bases.unpacking import STATUS, unpack

CONTROL = b"Package: shop\nVersion: 1\nArchitecture: all\nMaintainer: a <a@example.com>\nDescription: none\n"
TEXT = b"text"


def member(name: str, kind: bytes = tarfile.REGTYPE, *, link: str = "", mode: int = 0o644) -> TarInfo:
    """One member of a package's archive."""
    made = TarInfo(name)
    made.type, made.linkname, made.mode = kind, link, mode
    made.size = len(TEXT) if kind == tarfile.REGTYPE else 0
    return made


def archive(members: Iterable[TarInfo], content: bytes = TEXT) -> bytes:
    """A tar archive; every regular file in it holds ``content``."""
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as tar:
        for each in members:
            tar.addfile(each, io.BytesIO(content) if each.isreg() else None)
    return file.getvalue()


def package(folder: Path, *members: TarInfo) -> Path:
    """A package, as deb(5) describes them: an archive of ``ar`` with a version, a control and a data archive."""
    control = member("./control")
    control.size = len(CONTROL)
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar": archive([control], CONTROL),
        "data.tar": archive(members),
    }
    data = b"!<arch>\n"
    for name, part in parts.items():
        data += f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(part):<10}`\n".encode() + part + b"\n" * (len(part) % 2)
    path = folder / "shop_1_all.deb"
    path.write_bytes(data)
    return path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Of an image, empty."""
    root = tmp_path / "root"
    root.mkdir()
    return root


def test_files_links_and_folders_come_below_usr(tmp_path: Path, root: Path) -> None:
    """/bin is /usr/bin; links stay links; what is excluded and what is no file is left out; the control file is noted."""
    members = [
        member("./bin", DIRTYPE),
        member("./bin/shop", mode=0o4755),
        member("./bin/market", LNKTYPE, link="./bin/shop"),
        member("./bin/store", SYMTYPE, link="shop"),
        member("./usr/share/shop/list", mode=0o666),
        member("./usr/share/man/shop.1"),
        member("./run/shop", FIFOTYPE),
    ]
    unpack(package(tmp_path, *members), root, ("usr/share/man/*",))

    found = {str(path.relative_to(root)): path for path in root.rglob("*") if not path.is_dir()}
    assert found.keys() == {
        *(f"usr/bin/{name}" for name in ("shop", "market", "store")),
        *("usr/share/shop/list", f"{STATUS}/shop"),
    }
    assert found["usr/bin/market"].samefile(found["usr/bin/shop"])
    assert found["usr/bin/store"].readlink() == Path("shop")
    assert [found[name].stat().st_mode & 0o7777 for name in ("usr/bin/shop", "usr/share/shop/list")] == [0o755, 0o644]
    assert found["usr/share/shop/list"].read_bytes() == TEXT
    assert b"Package: shop" in found[f"{STATUS}/shop"].read_bytes()


def test_nothing_is_written_outside(tmp_path: Path, root: Path) -> None:
    """Neither by a path that leads up, nor through a link that a package made before: IMAGE_002."""
    outside = tmp_path / "outside"
    outside.mkdir()
    unpack(package(tmp_path, member("../outside/file"), member(f"{outside}/file")), root, ())
    for evil in (member("./opt/way/file"), member("./opt/way/file", LNKTYPE, link="./opt/other")):
        with refused(ErrorCode.IMAGE_BASE, "shop_1_all.deb"):
            unpack(package(tmp_path, member("./opt/way", SYMTYPE, link=str(outside)), evil), root, ())
    assert list(outside.iterdir()) == []


def test_a_damaged_package_is_an_error_with_a_code(tmp_path: Path, root: Path) -> None:
    """Cut off in the middle: IMAGE_002."""
    whole = package(tmp_path, *(member(f"./opt/{number}") for number in range(50)))
    whole.write_bytes(whole.read_bytes()[:-20_000])
    with refused(ErrorCode.IMAGE_BASE, "shop_1_all.deb"):
        unpack(whole, root, ())
