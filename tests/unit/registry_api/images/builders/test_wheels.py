# SPDX-License-Identifier: Apache-2.0
"""Wheels for another machine than this one."""

from __future__ import annotations

import pytest

from artifacts.oci.layout import Platform
from artifacts.stores.testing import refused
from core.errors import ErrorCode
from registry_api.images.builders.wheels import wheel_tags


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
