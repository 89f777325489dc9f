# SPDX-License-Identifier: Apache-2.0
"""Base images, made of real Debian packages by the real mmdebstrap."""

from __future__ import annotations

import gzip
import tarfile
from pathlib import Path

import pytest

from artifacts.stores.testing import refused
from artifacts.supply.contents import read_contents
from core.errors import ErrorCode
from registry_api.images.builders.bases.making import make_base, open_base
from registry_api.images.builders.bases.recipe import read_recipe
from registry_api.images.builders.configuration import read_configuration
from registry_api.images.builders.interface import Base

_UNWANTED = ("sh", "bash", "dash", "apt", "dpkg", "pip", "pip3", "gcc", "perl", "openssl", "tar", "curl")


_AARCH64 = 183  # e_machine of elf(5)


def _members(base: Base) -> list[tarfile.TarInfo]:
    layer = base.layout.manifest(base.image).layers[0]
    with base.layout.open_blob(layer) as file, gzip.open(file) as plain, tarfile.open(fileobj=plain) as tar:
        return tar.getmembers()


def test_a_base_holds_what_runs_and_nothing_that_builds(base: Base) -> None:
    """Python and its libraries; no shell, package manager, compiler or pip; nobody's right to become another user."""
    members = {member.name: member for member in _members(base)}
    programs = {path.rpartition("/")[2] for path in members if path.startswith("usr/bin/")}
    assert {"python3", "python3.11"} <= programs
    assert programs.isdisjoint(_UNWANTED)
    assert not [path for path in members if "ensurepip" in path or path.endswith(("/pip", ".deb"))]
    assert {(member.uid, member.gid, member.mtime) for member in members.values()} == {(0, 0, 0)}
    assert {oct(member.mode) for member in members.values() if not member.issym()} == {"0o644", "0o755", "0o1777"}
    assert members["usr/bin/python3.11"].mode == 0o755


def test_a_base_says_what_it_is_made_of(base: Base) -> None:
    """Debian's control files are in it, for scanners and the SBOM; it starts as nonroot, and ends at SIGTERM."""
    manifest = base.layout.manifest(base.image)
    contents = read_contents(base.layout, manifest)
    names = {package.name for package in contents.packages}
    print(f"\nbase cpu: {manifest.layers[0].size / 1e6:.1f} MB, {len(names)} packages, {base.image.digest}")
    assert contents.system == "debian 12"
    assert {"libc6", "libstdc++6", "libpython3.11-stdlib", "ca-certificates"} <= names
    assert names.isdisjoint({"dpkg", "perl-base", "debconf", "libtirpc3"})
    config = read_configuration(base.layout, manifest)["config"]
    assert (config["User"], config["StopSignal"]) == ("65532:65532", "SIGTERM")


def test_the_same_packages_give_the_same_base(tmp_path: Path, base: Base) -> None:
    """Two folders, one digest; the edge base is another and smaller; a base that is kept is not made again."""
    recipe = read_recipe("edge")
    made = [make_base(recipe, tmp_path / at, architecture="amd64", tell=print) for at in ("one", "two")]
    assert made[0].image == made[1].image
    sizes = [each.layout.manifest(each.image).layers[0].size for each in (made[0], base)]
    print(f"\nbase edge: {sizes[0] / 1e6:.1f} MB")
    assert sizes[0] < sizes[1]
    told: list[str] = []
    again = make_base(recipe, tmp_path / "one", architecture="amd64", tell=told.append)
    assert (again.image, told) == (made[0].image, [])


def test_a_base_of_another_architecture(tmp_path: Path) -> None:
    """Nothing of it is executed, so it can be made here: its programs and its configuration are for arm64."""
    made = make_base(read_recipe("edge"), tmp_path, architecture="arm64", tell=print)
    manifest = made.layout.manifest(made.image)
    with (
        made.layout.open_blob(manifest.layers[0]) as file,
        gzip.open(file) as plain,
        tarfile.open(fileobj=plain) as tar,
    ):
        program = tar.extractfile("usr/bin/python3.11")
        assert program is not None
        head = program.read(20)
    assert (head[:4], int.from_bytes(head[18:20], "little")) == (b"\x7fELF", _AARCH64)
    assert read_configuration(made.layout, manifest)["architecture"] == "arm64"


def test_packages_that_cannot_be_had_are_an_error_with_a_code(tmp_path: Path) -> None:
    """A mirror nobody listens at: IMAGE_002, and nothing is left behind."""
    with refused(ErrorCode.IMAGE_BASE, "mirror"):
        make_base(
            read_recipe("cpu"),
            tmp_path,
            architecture="amd64",
            tell=print,
            mirror="deb http://127.0.0.1:9 bookworm main",
        )
    assert [path.name for path in tmp_path.iterdir() if not path.name.endswith(".lock")] == []


def test_without_mmdebstrap_the_base_cannot_be_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """IMAGE_001 names what to install, and what helps where nothing can be installed."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with refused(ErrorCode.IMAGE_BUILDER_MISSING, "packages mmdebstrap and dpkg", "FUROSHIKI_IMAGES__BASES"):
        make_base(read_recipe("cpu"), tmp_path, architecture="amd64", tell=print)


def test_a_base_that_is_not_there_is_an_error_with_a_code(tmp_path: Path) -> None:
    """IMAGE_002 says how to make it."""
    with refused(ErrorCode.IMAGE_BASE, "python -m registry_api.images.builders base"):
        open_base(tmp_path / "nothing")
    with refused(ErrorCode.IMAGE_PLATFORM, "riscv64"):
        make_base(read_recipe("cpu"), tmp_path, architecture="riscv64", tell=print)
