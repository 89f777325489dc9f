# SPDX-License-Identifier: Apache-2.0
"""Which paths a bundle may hold: relative, POSIX, and the same file on every system that may unpack it.

A path is refused when it could leave the bundle (absolute, ``..``, drive or backslash), when two systems would read it
differently (not NFC, trailing dot or space, a Windows device name), when it cannot be shown safely (control and
invisible characters) or when it names one of the bundle's own two files. Across a bundle, two paths may not differ
only by case, and no path may be both a file and a folder.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable
from typing import Final

from core.errors import ErrorCode, SignatureError

MANIFEST_NAME: Final = "manifest.json"
SIGNATURE_NAME: Final = "model.sig"
RESERVED_NAMES: Final = frozenset({MANIFEST_NAME, SIGNATURE_NAME})

MAX_PATH_BYTES: Final = 1024  # of the whole path in UTF-8
MAX_SEGMENT_BYTES: Final = 255  # of one segment in UTF-8: what file systems accept
MAX_DEPTH: Final = 32  # segments of one path

_FORBIDDEN_CHARACTERS: Final = frozenset('\\:*?"<>|')
_FORBIDDEN_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_DEVICE_NAME: Final = re.compile(
    r"(con|conin\$|conout\$|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³]) *(\..*)?", re.IGNORECASE
)  # also with spaces before the first dot


def path_parts(path: str) -> tuple[str, ...]:
    """The segments of ``path``: the order of files in a bundle is the order of these, by code point."""
    return tuple(path.split("/"))


def check_path(path: str) -> str:
    """Returns ``path`` if a bundle may hold a file of that name.

    Raises:
        SignatureError: ``SIGN_007``, naming the path and the rule it breaks.
    """
    fault = _fault(path)
    if fault is not None:
        raise unsafe_path(path, fault)
    return path


def check_distinct(paths: Iterable[str]) -> None:
    """Checks that no two paths are the same file, or a file and a folder, on a system that ignores case.

    Raises:
        SignatureError: ``SIGN_007``, naming both paths.
    """
    files: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in paths:
        key = _fold(path)
        if key in files:
            raise unsafe_path(path, f"it is the same file as {files[key]!r} where case does not matter")
        files[key] = path
        parts = path_parts(key)
        folders.update({"/".join(parts[:depth]): path for depth in range(1, len(parts))})
    for key in files.keys() & folders.keys():
        raise unsafe_path(files[key], f"it is also a folder of {folders[key]!r}")


def unsafe_path(path: str, fault: str) -> SignatureError:
    """The error for a path that a bundle may not hold; ``fault`` ends the sentence."""
    shown = ascii(path[:200])
    return SignatureError(
        ErrorCode.PATH_UNSAFE,
        f"Path {shown} cannot be part of a bundle: {fault}. Expected a plain file at a relative POSIX path.",
        details={"path": shown.strip("'\"")},
    )


def missing_file(path: str) -> SignatureError:
    """The error for a file that should be in a bundle and is not: ``SIGN_006``."""
    return SignatureError(
        ErrorCode.FILE_MISSING, f"The bundle does not hold {path!r}. Fetch the bundle again.", details={"path": path}
    )


def unexpected_file(path: str) -> SignatureError:
    """The error for a file that is in a bundle and should not be: ``SIGN_005``."""
    shown = ascii(path[:200])
    return SignatureError(
        ErrorCode.FILE_UNEXPECTED,
        f"The bundle holds {shown}, which its manifest does not list. Remove it.",
        details={"path": shown.strip("'\"")},
    )


def _fold(path: str) -> str:
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", path).casefold())


def _fault(path: str) -> str | None:
    broken = (sentence for breaks, sentence in _RULES if breaks(path))
    in_segments = (fault for part in path_parts(path) if (fault := _segment_fault(part)) is not None)
    return next(broken, None) or next(in_segments, None)


def _segment_fault(part: str) -> str | None:
    if part in {"", ".", ".."}:
        return f"it has the segment {part!r}"
    if len(part.encode()) > MAX_SEGMENT_BYTES:
        return f"a segment is longer than {MAX_SEGMENT_BYTES} bytes"
    if part.endswith((".", " ")) or part.startswith(" "):
        return "a segment starts with a space or ends with a dot or space"
    if _DEVICE_NAME.fullmatch(part) is not None:
        return f"{part!r} is a device name on Windows"
    return None


_RULES: Final[tuple[tuple[Callable[[str], bool], str], ...]] = (
    (lambda path: not path, "it is empty"),
    (
        lambda path: any(unicodedata.category(character) in _FORBIDDEN_CATEGORIES for character in path),
        "it holds a control or invisible character",
    ),
    (lambda path: len(path.encode()) > MAX_PATH_BYTES, f"it is longer than {MAX_PATH_BYTES} bytes"),
    (lambda path: path.startswith("/"), "it is absolute"),
    (
        lambda path: not _FORBIDDEN_CHARACTERS.isdisjoint(path),
        f"it holds one of {' '.join(sorted(_FORBIDDEN_CHARACTERS))}",
    ),
    (lambda path: unicodedata.normalize("NFC", path) != path, "it is not in Unicode normal form C"),
    (lambda path: path_parts(_fold(path))[0] in RESERVED_NAMES, "its first segment names a file of the bundle itself"),
    (lambda path: len(path_parts(path)) > MAX_DEPTH, f"it is nested deeper than {MAX_DEPTH}"),
)
