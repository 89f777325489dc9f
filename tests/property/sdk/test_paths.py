# SPDX-License-Identifier: Apache-2.0
"""The SDK and the server agree about paths where it matters."""

from __future__ import annotations

from pathlib import PurePosixPath

from hypothesis import example, given
from hypothesis import strategies as st

from artifacts.paths import check_path
from core.errors import SignatureError
from furoshiki import SignatureRefused
from furoshiki.bundle.paths import check_paths

SEGMENTS = ["a", "..", ".", "", "é", "con", "x ", "manifest.json", "\\", "B\u00a0"]
PATHS = st.one_of(
    st.text(max_size=20),
    st.lists(st.sampled_from(SEGMENTS), max_size=4).map("/".join),
)


def server_accepts(path: str) -> bool:
    try:
        check_path(path)
    except SignatureError:
        return False
    return True


def accepts(path: str) -> bool:
    try:
        check_paths([path])
    except SignatureRefused:
        return False
    return True


@given(PATHS)
@example("a\u00a0b")
def test_what_the_server_signs_is_not_refused_for_its_name(path: str) -> None:
    """Every path the server may sign is accepted here."""
    assert accepts(path) or not server_accepts(path)


@given(PATHS)
def test_no_accepted_path_leaves_the_bundle(path: str) -> None:
    """A path that is accepted lies below the directory it is joined to, whatever the system."""
    if accepts(path):
        parts = PurePosixPath("/bundle").joinpath(path).parts
        assert parts[:2] == ("/", "bundle")
        assert len(parts) > 2
        assert not {"..", "."} & set(parts)
        assert not set("\\:\0") & set(path)
