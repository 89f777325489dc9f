# SPDX-License-Identifier: Apache-2.0
"""Wheels for another machine than this one, and no other files than the pins name."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifacts.digest import digest_bytes
from artifacts.oci.layout import Platform
from artifacts.testing import make_manifest, refused
from core.errors import ErrorCode
from registry_api.images.builders.bases.making import open_base
from registry_api.images.builders.interface import BuildRequest
from registry_api.images.builders.wheels import REQUIREMENTS, fetch_wheels, wheel_tags
from registry_api.images.testing import WHEEL, tiny_base, tiny_wheel


def asking(folder: Path, pins: str) -> BuildRequest:
    """For an image of a Bento with one wheel of its own and these pins."""
    files = {f"src/wheels/{WHEEL}": tiny_wheel(), REQUIREMENTS: pins.encode()}
    for path, data in files.items():
        (folder / "bento" / path).parent.mkdir(parents=True)
        (folder / "bento" / path).write_bytes(data)
    return BuildRequest(
        bento=folder / "bento",
        manifest=make_manifest(files),
        base=open_base(tiny_base(folder / "base")),
        platform=Platform(architecture="amd64"),
        scratch=folder / "scratch",
        cache=folder / "cache",
    )


def test_the_newest_tag_that_runs_comes_first() -> None:
    """Debian 12 has glibc 2.36; older tags run too, newer ones do not."""
    tags = wheel_tags(Platform(architecture="arm64"))
    assert tags[0] == "manylinux_2_36_aarch64"
    assert "manylinux2014_aarch64" in tags
    assert "manylinux_2_37_aarch64" not in tags


@pytest.mark.parametrize("platform", [Platform(architecture="riscv64"), Platform(architecture="amd64", os="windows")])
def test_other_platforms_have_no_wheels(platform: Platform) -> None:
    """IMAGE_003 names what there is."""
    with refused(ErrorCode.IMAGE_PLATFORM, "linux/arm64"):
        wheel_tags(platform)


@pytest.mark.parametrize(
    ("pins", "said"),
    [
        (f"./wheels/{WHEEL} --hash=sha256:{'0' * 64}", "DO NOT MATCH THE HASHES"),
        (f"./wheels/{WHEEL}", "Hashes are required"),
    ],
    ids=["another file", "no hash"],
)
def test_only_files_that_the_pins_name_are_taken(tmp_path: Path, pins: str, said: str) -> None:
    """JOB_002 with pip's own words; nothing is kept."""
    with refused(ErrorCode.JOB_FAILED, said):
        fetch_wheels(asking(tmp_path, pins), print)
    assert list((tmp_path / "cache" / "wheels").iterdir()) == []


def test_a_kept_wheel_that_was_changed_is_fetched_anew(tmp_path: Path) -> None:
    """Whoever can write to the cache gets nothing into an image."""
    told: list[str] = []
    request = asking(tmp_path, f"./wheels/{WHEEL} --hash={digest_bytes(tiny_wheel())}")
    wheel = fetch_wheels(request, told.append) / WHEEL
    wheel.write_bytes(wheel.read_bytes().replace(b"ONE = 1", b"ONE = 2"))
    assert fetch_wheels(request, told.append) / WHEEL == wheel
    assert wheel.read_bytes() == tiny_wheel()
    assert [line.split()[0] for line in told] == ["fetching", "kept", "fetching"]
