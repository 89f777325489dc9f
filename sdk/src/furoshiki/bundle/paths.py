# SPDX-License-Identifier: Apache-2.0
"""Which paths a bundle may hold: relative, POSIX, inside the bundle, and one file each on every system."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from typing import Final

from furoshiki.bundle.refusals import Reason, refuse

MANIFEST_NAME: Final = "manifest.json"
SIGNATURE_NAME: Final = "model.sig"

_INVISIBLE: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})  # Unicode categories
_FORBIDDEN: Final = frozenset('\\:*?"<>|')


def check_paths(paths: Iterable[str]) -> None:
    """Checks each path, and that no two are one file, or a file and a folder, where case does not matter.

    Raises:
        SignatureRefused: ``SIGN_007``, naming the path and the fault.
    """
    files: set[str] = set()
    folders: set[str] = set()
    for path in paths:
        fault = _fault(path)
        if fault is not None:
            raise refuse(Reason.PATH_UNSAFE, f"Path {path[:200]!a} cannot be part of a bundle: {fault}.")
        folded = _fold(path)
        parents = {folded[:index] for index, character in enumerate(folded) if character == "/"}
        if folded in files or folded in folders or parents & files:
            raise refuse(Reason.PATH_UNSAFE, f"Path {path!r} collides with another path of the bundle.")
        files.add(folded)
        folders |= parents


def _fold(path: str) -> str:
    return unicodedata.normalize("NFC", path.casefold())


def _fault(path: str) -> str | None:
    segments = path.split("/")
    if any(segment in ("", ".", "..") for segment in segments):
        return "it is absolute or has an empty, '.' or '..' segment"
    if any(unicodedata.category(character) in _INVISIBLE for character in path):
        return "it holds a control or invisible character"
    if not _FORBIDDEN.isdisjoint(path) or unicodedata.normalize("NFC", path) != path:
        return "it is not the same name on every system"
    if len(path.encode()) > 1024 or any(len(segment.encode()) > 255 for segment in segments):
        return "it is too long"
    if _fold(path) in (MANIFEST_NAME, SIGNATURE_NAME):
        return "that name belongs to the bundle itself"
    return None
