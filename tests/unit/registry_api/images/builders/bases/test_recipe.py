# SPDX-License-Identifier: Apache-2.0
"""Recipes of base images: those of the product, and those that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from artifacts.stores.testing import refused
from core.errors import ErrorCode
from registry_api.images.builders.bases.recipe import RECIPES, read_recipe


def test_the_products_recipes_build_upon_that_for_processors() -> None:
    """All leave out what installs; the one for GPUs has the same packages and NVIDIA's variables; the smallest is edge's."""
    cpu, cuda, edge = (read_recipe(device) for device in ("cpu", "cuda", "edge"))
    assert {path.stem for path in RECIPES.glob("*.toml")} == {"cpu", "cuda", "edge"}
    assert "dpkg" in cpu.left_out
    assert (cuda.packages, cuda.left_out, cuda.suite) == (cpu.packages, cpu.left_out, cpu.suite)
    assert cuda.environment["NVIDIA_DRIVER_CAPABILITIES"] == "compute,utility"
    assert set(edge.packages) < set(cpu.packages)
    assert len({cpu.digest, cuda.digest, edge.digest}) == 3


def test_every_field_is_in_the_digest(tmp_path: Path) -> None:
    """A recipe that says something else is another base."""
    text = 'device = "x"\nsuite = "bookworm"\narchitectures = ["amd64"]\npackages = ["a"]\n'
    digests = set()
    for extra in ("", 'left_out = ["b"]\n', 'excluded = ["b"]\n', "environment = { A = 'b' }\n"):
        (tmp_path / "x.toml").write_text(text + extra)
        digests.add(read_recipe("x", tmp_path).digest)
    assert len(digests) == 4


@pytest.mark.parametrize("text", ["device = ", 'device = "x"', 'device = "x"\nsuit = "bookworm"', 'device = "--x"'])
def test_a_recipe_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    """INIT_002 names the file."""
    (tmp_path / "x.toml").write_text(text)
    with refused(ErrorCode.SETTING_INVALID, "x.toml"):
        read_recipe("x", tmp_path)


def test_an_unknown_device_class_names_those_there_are() -> None:
    """IMAGE_002."""
    with refused(ErrorCode.IMAGE_BASE, "cpu, cuda, edge"):
        read_recipe("tpu")
