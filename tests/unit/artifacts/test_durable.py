# SPDX-License-Identifier: Apache-2.0
"""Atomic small files."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from artifacts.durable import write_atomically


def test_write_sets_content_and_mode(tmp_path: Path) -> None:
    """The file has the bytes and exactly the mode that was asked for, whatever the umask."""
    old = os.umask(0o077)
    try:
        assert write_atomically(tmp_path / "f", b"data", mode=0o644, replace=True)
    finally:
        os.umask(old)
    assert (tmp_path / "f").read_bytes() == b"data"
    assert stat.S_IMODE((tmp_path / "f").stat().st_mode) == 0o644


def test_first_writer_is_kept(tmp_path: Path) -> None:
    """Without replace, a second write changes nothing and says so."""
    assert write_atomically(tmp_path / "f", b"one", mode=0o600, replace=False)
    assert not write_atomically(tmp_path / "f", b"two", mode=0o600, replace=False)
    assert (tmp_path / "f").read_bytes() == b"one"


def test_replace_takes_the_new_content(tmp_path: Path) -> None:
    """With replace, the last write wins."""
    for data in (b"one", b"two"):
        write_atomically(tmp_path / "f", data, mode=0o600, replace=True)
    assert (tmp_path / "f").read_bytes() == b"two"


@pytest.mark.parametrize("replace", [True, False])
def test_nothing_is_left_behind(tmp_path: Path, replace: bool) -> None:
    """No temporary file stays, whether the write won or lost."""
    for _ in range(2):
        write_atomically(tmp_path / "f", b"x", mode=0o600, replace=replace)
    assert [path.name for path in tmp_path.iterdir()] == ["f"]
