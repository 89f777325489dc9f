# SPDX-License-Identifier: Apache-2.0
"""Which bytes of a file a request sends, told by Content-Range (RFC 9110, 14.4).

no header                 the whole file
bytes 0-33554431/SIZE     one part; parts begin at multiples of the part size, and all but the last have that size
bytes */SIZE              nothing more: the parts that were sent are the file
"""

from __future__ import annotations

import re
from typing import Final, NoReturn

from artifacts.manifest import FileEntry
from artifacts.stores.spans import Span
from core.errors import ErrorCode, InvalidRequest

JOIN: Final = Span(start=0, end=0)
"""What stands for ``bytes */SIZE``."""

_RANGE: Final = re.compile(r"bytes (?:(\d{1,15})-(\d{1,15})|\*)/(\d{1,15})", re.ASCII)


def span_of(header: str, entry: FileEntry, *, part_bytes: int) -> Span:
    """The part that a Content-Range names, or :data:`JOIN`.

    Args:
        header: The header's value.
        entry: The declared file.
        part_bytes: The size of a part.

    Raises:
        InvalidRequest: ``VALID_001`` if the header cannot be parsed, ``VALID_002`` if it names no part of that file.
    """
    found = _RANGE.fullmatch(header)
    if found is None:
        raise InvalidRequest(
            ErrorCode.MALFORMED,
            f"Content-Range is {header[:80]!r}; expected 'bytes FIRST-LAST/SIZE', or 'bytes */SIZE' after the last part.",
        )
    if int(found[3]) != entry.size:
        _refuse(f"File {entry.path!r} was declared with {entry.size} bytes; Content-Range says {found[3]}.")
    if found[1] is None:
        return JOIN
    span = Span(start=int(found[1]), end=int(found[2]) + 1)
    number, rest = divmod(span.start, part_bytes)
    if rest or span.start >= entry.size or span != part_span(number, entry, part_bytes=part_bytes):
        _refuse(
            f"{header[:80]!r} is no part of {entry.path!r}; expected a part that begins at a multiple of {part_bytes} "
            f"and has {part_bytes} bytes, or ends with the file."
        )
    return span


def part_span(number: int, entry: FileEntry, *, part_bytes: int) -> Span:
    """The bytes of part ``number``, counted from 0."""
    return Span(start=number * part_bytes, end=min((number + 1) * part_bytes, entry.size))


def part_count(entry: FileEntry, *, part_bytes: int) -> int:
    """How many parts a file has."""
    return -(-entry.size // part_bytes)


def _refuse(message: str) -> NoReturn:
    raise InvalidRequest(ErrorCode.INVALID_FIELD, message, details={"field": "Content-Range"})
