# SPDX-License-Identifier: Apache-2.0
"""Tags of models and versions: ``key:value``, or ``key`` alone. Pure.

A key occurs once. Keys that begin with ``furoshiki.`` are the platform's own: callers can read but not change them.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NoReturn

from core.errors import ErrorCode, InvalidRequest

MAX_TAGS: Final = 50  # per model or version
RESERVED: Final = "furoshiki."


def key_of(tag: str) -> str:
    """The part before the first colon."""
    return tag.partition(":")[0]


def replaced(present: Iterable[str], wanted: Iterable[str]) -> tuple[str, ...]:
    """The tags after a caller replaced them: its own as it wants them, the platform's as they are.

    Raises:
        InvalidRequest: ``VALID_002`` if a key occurs twice, or is the platform's and not as it is.
    """
    reserved = [tag for tag in present if key_of(tag).startswith(RESERVED)]
    seen: set[str] = set()
    result = []
    for tag in wanted:
        key = key_of(tag)
        if key in seen:
            _refuse(f"Tag {key!r} occurs twice; expected each key once.")
        if key.startswith(RESERVED) and tag not in reserved:
            _refuse(f"Tag {key!r} begins with {RESERVED!r}, which is reserved for the platform. Choose another key.")
        seen.add(key)
        if not key.startswith(RESERVED):
            result.append(tag)
    return (*result, *reserved)


def _refuse(message: str) -> NoReturn:
    raise InvalidRequest(ErrorCode.INVALID_FIELD, message, details={"field": "tags"})
