# SPDX-License-Identifier: Apache-2.0
"""What the fake's routes speak: a parsed call, an answer, a problem."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request, parsed."""

    method: str
    segments: tuple[str, ...]  # of the path, unquoted
    query: Mapping[str, str]
    headers: Mapping[str, str]  # names in lower case
    body: bytes

    def fields(self) -> dict[str, Any]:
        """The body as a JSON object."""
        try:
            return msgspec.json.decode(self.body or b"{}", type=dict[str, Any])
        except msgspec.DecodeError as error:
            raise Problem(400, "VALID_001", f"The body is no JSON object: {error}.") from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """One reply."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Problem(Exception):
    """A call that is refused."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        *,
        retry_after: int | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.details = dict(details or {})


def json_answer(value: object, status: int = 200) -> Answer:
    """A reply with a JSON body."""
    return Answer(status=status, headers={"content-type": "application/json"}, body=msgspec.json.encode(value))


def page(items: list[Any], call: Call) -> Answer:
    """One page of a list; the cursor is the index of the next item."""
    start, limit = int(call.query.get("cursor", "0")), int(call.query.get("limit", "50"))
    following = start + limit if start + limit < len(items) else None
    cursor = None if following is None else str(following)
    return json_answer({"items": items[start : start + limit], "next_cursor": cursor})
