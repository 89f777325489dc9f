# SPDX-License-Identifier: Apache-2.0
"""Model cards as values, and which of their fields are missing. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

import rfc8785

from artifacts.digest import Digest, digest_bytes
from core.errors import ErrorCode, InvalidRequest

BODY: Final = "body"  # the Markdown text, where fields are named
_EMPTY: Final[tuple[object, ...]] = (None, "", [], {})


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """What is said of a model, or of one version of it."""

    tenant: str
    model: str
    version: int | None  # None: of the model, and so of each version without a card of its own
    revision: int = 0  # 1, 2, 3 ... with each change; 0: nothing was ever said
    fields: Mapping[str, Any] = field(
        default_factory=dict
    )  # those that are filled in, as JSON; the schema checked them
    body: str = ""  # Markdown
    updated_at: datetime | None = None  # None: nothing was ever said
    updated_by: str | None = None

    @property
    def content(self) -> dict[str, Any]:
        """All that is filled in, the text as ``body``."""
        return {**self.fields, **({BODY: self.body} if self.body else {})}

    def digest(self) -> Digest:
        """Of fields and text, for the history.

        Raises:
            InvalidRequest: ``VALID_002`` if a number has no canonical form.
        """
        try:
            return digest_bytes(rfc8785.dumps(self.content))
        except rfc8785.CanonicalizationError as error:
            raise InvalidRequest(ErrorCode.INVALID_FIELD, f"A number of the card is out of range: {error}.") from None


def missing_fields(card: Card | None, required: Iterable[str]) -> list[str]:
    """Which of the required fields a card lacks, in the order asked for; all of them without a card.

    ``body`` asks for the text. A field that no card can have is always missing.
    """
    content = {} if card is None else card.content
    return [name for name in required if content.get(name) in _EMPTY]
