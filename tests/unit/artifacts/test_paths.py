# SPDX-License-Identifier: Apache-2.0
"""Paths: what a bundle may hold and what it must not."""

from __future__ import annotations

import pytest

from artifacts.paths import check_distinct, check_path
from artifacts.testing import refused
from core.errors import ErrorCode

UNSAFE = {
    "": "empty",
    "/etc/passwd": "absolute",
    "../x": "'..'",
    "a/../b": "'..'",
    "./x": "'.'",
    "a//b": "segment ''",
    "a/": "segment ''",
    "a\\b": "holds one of",
    "c:x": "holds one of",
    "a\0b": "control",
    "a\nb": "control",
    "a\u202eb": "invisible",
    "a\u200bb": "invisible",
    "a\ud800b": "control",
    "cafe\u0301": "normal form",
    "x.": "dot or space",
    "a /b": "dot or space",
    " a": "dot or space",
    "NUL": "device name",
    "a/nul .0": "device name",
    "CONIN$": "device name",
    "a/com1.txt": "device name",
    "manifest.json": "the bundle itself",
    "Model.SIG": "the bundle itself",
    "model.sig/x": "the bundle itself",
    "x" * 256: "segment is longer",
    "é" * 128: "segment is longer",
    "/".join(["x" * 200] * 6): "longer than 1024",
    "/".join(["x"] * 33): "nested deeper",
}


@pytest.mark.parametrize(("path", "reason"), UNSAFE.items(), ids=[ascii(path)[:20] for path in UNSAFE])
def test_unsafe_path_is_refused(path: str, reason: str) -> None:
    """Each unsafe path is refused with its own reason."""
    with refused(ErrorCode.PATH_UNSAFE, reason):
        check_path(path)


@pytest.mark.parametrize(
    "path", ["model.onnx", "a/b/c.bin", ".gitattributes", "..x", "x y", "é.txt", "日本/語", "a" * 255]
)
def test_safe_path_is_returned(path: str) -> None:
    """Ordinary names pass, in any script."""
    assert check_path(path) == path


def test_error_never_repeats_invisible_characters() -> None:
    """The message shows an unsafe path in ASCII."""
    with refused(ErrorCode.PATH_UNSAFE, r"a\u202eb"):
        check_path("a\u202eb")


@pytest.mark.parametrize(("one", "other"), [("a/X", "A/x"), ("straße", "STRASSE"), ("x", "x")])
def test_twins_are_refused(one: str, other: str) -> None:
    """Two paths that are one file where case does not matter cannot be in one bundle."""
    with refused(ErrorCode.PATH_UNSAFE, "same file", ascii(other)):
        check_distinct([one, other])


@pytest.mark.parametrize("paths", [["a", "a/b"], ["A/b/c", "a/B"]])
def test_file_and_folder_of_one_name_are_refused(paths: list[str]) -> None:
    """A path cannot be a file and a folder."""
    with refused(ErrorCode.PATH_UNSAFE, "also a folder"):
        check_distinct(paths)


def test_distinct_paths_pass() -> None:
    """Siblings and shared folders are fine."""
    check_distinct(["a/b", "a/c", "ab", "b/a"])
