# SPDX-License-Identifier: Apache-2.0
"""Which files of a package a lock names."""

from __future__ import annotations

from typing import Any

import pytest

from deploy.locks.linux import wanted

SOURCE = "tiny-1.0.tar.gz"
INTEL, ARM = "tiny-1.0-cp311-cp311-manylinux_2_28_x86_64.whl", "tiny-1.0-cp39-abi3-manylinux2014_aarch64.whl"


def package(*files: str) -> dict[str, Any]:
    """A package with files, each with its name for a hash."""
    described = {name: {"url": f"https://index.example/{name}", "hashes": {"sha256": name}} for name in files}
    source = {"sdist": described.pop(SOURCE)} if SOURCE in described else {}
    return {"name": "tiny", "wheels": list(described.values()), **source}


@pytest.mark.parametrize(
    ("files", "kept"),
    [
        ((SOURCE, INTEL, ARM), {INTEL, ARM}),
        ((SOURCE, INTEL), {INTEL, SOURCE}),
        ((SOURCE, "tiny-1.0-py3-none-any.whl"), {"tiny-1.0-py3-none-any.whl"}),
        ((INTEL,), {INTEL}),
        ((SOURCE,), {SOURCE}),
        (
            (ARM, INTEL, "tiny-1.0-cp311-cp311-macosx_11_0_arm64.whl", "tiny-1.0-cp311-cp311-win_amd64.whl"),
            {ARM, INTEL},
        ),
        ((ARM, INTEL, "tiny-1.0-cp312-cp312-manylinux_2_28_x86_64.whl"), {ARM, INTEL}),
        ((ARM, INTEL, "tiny-1.0-cp311-cp311-musllinux_1_2_x86_64.whl"), {ARM, INTEL}),
    ],
    ids=["both", "one", "pure", "no source", "source only", "other systems", "other pythons", "other libc"],
)
def test_files_for_the_two_machines_are_named(files: tuple[str, ...], kept: set[str]) -> None:
    """Their wheels; the source where one of them has none."""
    assert set(wanted(package(*files))) == kept
