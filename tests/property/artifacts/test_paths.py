# SPDX-License-Identifier: Apache-2.0
"""Law: a path that check_path accepts stays inside the folder it is joined to, on POSIX and on Windows."""

from __future__ import annotations

from pathlib import PurePosixPath, PureWindowsPath

from hypothesis import given
from hypothesis import strategies as st

from artifacts.paths import check_path
from core.errors import SignatureError

pieces = st.sampled_from(["..", ".", "/", "\\", "a", "C:", "nul", " ", "\0", "model.sig", "é", "\u202e"])
candidates = st.text() | st.lists(pieces, max_size=6).map("".join) | st.lists(pieces, max_size=6).map("/".join)


@given(candidates)
def test_accepted_paths_stay_inside(path: str) -> None:
    """An accepted path is relative, has no '..', and means the same segments on both systems."""
    try:
        check_path(path)
    except SignatureError:
        return
    posix, windows = PurePosixPath(path), PureWindowsPath(path)
    assert not posix.is_absolute()
    assert not windows.is_absolute()
    assert not windows.drive
    assert not windows.is_reserved()
    assert ".." not in posix.parts
    assert posix.parts == windows.parts == tuple(path.split("/"))
