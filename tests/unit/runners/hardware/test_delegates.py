# SPDX-License-Identifier: Apache-2.0
"""Libraries of delegates: where they are looked for, and the reason where they are not."""

from __future__ import annotations

import ctypes.util
from pathlib import Path

import pytest

from runners.hardware.delegates import DELEGATES, Delegate, library_of

EDGE_TPU = DELEGATES[0]


def test_one_that_is_not_here_says_what_is_missing() -> None:
    """The loader's own words name the library."""
    found = library_of(Delegate(device="moon", described="Moon", library="libmoon.so.9"), {})
    assert "libmoon.so.9" in str(found.reason)


def test_a_variable_may_name_the_library(tmp_path: Path) -> None:
    """An absolute path; what is no library, or one of something else, is a reason."""
    library = str(ctypes.util.find_library("c"))
    real = next(Path(line.split()[-1]) for line in Path("/proc/self/maps").read_text().splitlines() if library in line)
    reason = library_of(EDGE_TPU, {EDGE_TPU.variable: str(real)}).reason
    assert reason == f"{real} is no LiteRT delegate: it has no function tflite_plugin_create_delegate"
    (tmp_path / "lib.so").write_bytes(b"not a library")
    assert library_of(EDGE_TPU, {EDGE_TPU.variable: str(tmp_path / "lib.so")}).reason is not None
    assert library_of(EDGE_TPU, {EDGE_TPU.variable: str(tmp_path)}).reason is not None


@pytest.mark.parametrize("path", ["lib.so", "./lib.so", "model/lib.so"])
def test_a_relative_path_is_refused(path: str) -> None:
    """Native code is never taken from the working directory."""
    assert "absolute path" in str(library_of(EDGE_TPU, {EDGE_TPU.variable: path}).reason)


def test_devices_are_unique() -> None:
    """Each names one delegate."""
    assert len({item.device for item in DELEGATES}) == len(DELEGATES)
