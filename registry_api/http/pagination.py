# SPDX-License-Identifier: Apache-2.0
"""Cursor pagination: ``{"items": [...], "next_cursor": "..." | null}``.

A cursor is the sort key of the last item shown, encoded so that callers cannot grow to depend on it. It stays valid while
rows are added or removed. A repository asks for ``limit + 1`` rows after the key; :func:`listing` cuts and points onward.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final, Generic, NoReturn, TypeAlias, TypeVar

import orjson
from fastapi import Depends, Query
from pydantic import BaseModel, Field

from core.errors import ErrorCode, InvalidRequest

T = TypeVar("T")
S = TypeVar("S")
Key: TypeAlias = tuple[str | int, ...]

MAX_LIMIT: Final = 200
DEFAULT_LIMIT: Final = 50
_CURSOR_CHARS: Final = 512
_CURSOR_PATTERN: Final = r"^[A-Za-z0-9_-]+$"
_INT64: Final = 2**63


class Page(BaseModel, Generic[T]):
    """One page of a list."""

    items: list[T]
    next_cursor: str | None = Field(description="Pass it as `cursor` to get the next page; null on the last one.")


@dataclass(frozen=True, slots=True, kw_only=True)
class PageRequest:
    """What a caller asked for. ``after`` is the key of the last item seen; None starts at the beginning."""

    limit: int = DEFAULT_LIMIT
    after: Key | None = None

    def position(self, *types: type) -> tuple[Any, ...] | None:
        """The key after which to go on, checked to have the parts of this list's order.

        Raises:
            InvalidRequest: ``VALID_002`` if the cursor comes from another list.
        """
        if self.after is None:
            return None
        if tuple(type(part) for part in self.after) != types:
            refuse_cursor()
        return self.after


@dataclass(frozen=True, slots=True, kw_only=True)
class Listing(Generic[T]):
    """One page of values inside the application."""

    items: tuple[T, ...]
    next_cursor: str | None

    def map(self, make: Callable[[T], S]) -> Listing[S]:
        """The page with what ``make`` makes of each item."""
        return Listing(items=tuple(map(make, self.items)), next_cursor=self.next_cursor)

    def page(self, show: Callable[[T], S]) -> Page[S]:
        """The page as the API shows it."""
        return Page(items=[show(item) for item in self.items], next_cursor=self.next_cursor)


def listing(rows: Sequence[T], request: PageRequest, key: Callable[[T], Key]) -> Listing[T]:
    """Cuts ``rows`` (at most ``limit + 1`` of them, in order) to a page.

    Args:
        rows: What the repository found after the cursor.
        request: What the caller asked for.
        key: The sort key of a row; its parts are what :meth:`PageRequest.position` returns.
    """
    shown = tuple(rows[: request.limit])
    more = len(rows) > request.limit
    return Listing(items=shown, next_cursor=encode_cursor(key(shown[-1])) if more else None)


def encode_cursor(key: Key) -> str:
    """The opaque form of a sort key."""
    return base64.urlsafe_b64encode(orjson.dumps(key)).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> Key:
    """The sort key inside a cursor.

    Raises:
        InvalidRequest: ``VALID_002`` if the text is not a cursor of ours.
    """
    try:
        parts = orjson.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except (binascii.Error, ValueError):
        refuse_cursor()
    if not isinstance(parts, list) or not parts or not all(_is_part(part) for part in parts):
        refuse_cursor()
    return tuple(parts)


def _is_part(part: object) -> bool:
    if isinstance(part, str):
        return "\x00" not in part
    return type(part) is int and abs(part) < _INT64


def refuse_cursor() -> NoReturn:
    """Says that a cursor is not one of this list.

    Raises:
        InvalidRequest: ``VALID_002``.
    """
    raise InvalidRequest(
        ErrorCode.INVALID_FIELD,
        "Query parameter 'cursor' is not a cursor of this list. Leave it out to start again.",
        details={"field": "cursor"},
    )


def page_request(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Items per page.")] = DEFAULT_LIMIT,
    cursor: Annotated[
        str | None,
        Query(
            min_length=1,
            max_length=_CURSOR_CHARS,
            pattern=_CURSOR_PATTERN,
            description="`next_cursor` of the page before.",
        ),
    ] = None,
) -> PageRequest:
    """The dependency behind :data:`Paging`."""
    return PageRequest(limit=limit, after=None if cursor is None else decode_cursor(cursor))


Paging: TypeAlias = Annotated[PageRequest, Depends(page_request)]
