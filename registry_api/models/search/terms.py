# SPDX-License-Identifier: Apache-2.0
"""What a model is found by: the words of its texts, and its tags. Pure.

Words are made here and nowhere else, so that SQLite and PostgreSQL cannot disagree about them: compatibility forms are
folded (NFKC), case is folded, and every run of letters and digits is a word. There is no stemming, and there are no stop
words. A question is cut into words the same way, so no character of it can mean anything to a database.

Law: a model is found by ``q`` if and only if each word of ``q`` begins some word of the model.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from enum import StrEnum
from itertools import islice
from typing import Final

from core.errors import ErrorCode, InvalidRequest

MAX_WORD: Final = 64  # characters; the rest of a longer word is not looked at
MAX_WORDS: Final = 1000  # per model; the first ones count
MAX_ASKED: Final = 8  # words in one question

_WORD: Final = re.compile(r"[^\W_]+")
_LAST: Final = "\U0010ffff"  # no word begins with its own prefix and this


class TermKind(StrEnum):
    """What a term is; the comment on each line is its form."""

    WORD = "w"  # a word
    TAG = "t"  # "key:value"; of a tag without a value "key:"


def words(text: str) -> Iterator[str]:
    """The words of a text, in order, twice what is there twice."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    return (found.group()[:MAX_WORD] for found in _WORD.finditer(folded))


def asked(question: str) -> tuple[str, ...]:
    """The words of a question; none if it has no letter and no digit.

    Raises:
        InvalidRequest: ``VALID_002`` if there are more than ``MAX_ASKED``.
    """
    found = tuple(dict.fromkeys(words(question)))
    if len(found) > MAX_ASKED:
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD,
            f"Query parameter 'q' has {len(found)} words; expected at most {MAX_ASKED}. Leave some out.",
            details={"field": "q"},
        )
    return found


def tag_term(tag: str) -> str:
    """The term of a tag: ``team:vision`` stays, ``vision`` becomes ``vision:``."""
    return tag if ":" in tag else f"{tag}:"


def range_of(prefix: str) -> tuple[str, str]:
    """First and last term that begin with ``prefix``, both included, in the order of code points."""
    return prefix, prefix + _LAST


def terms_of(
    name: str, description: str, tags: Iterable[str], texts: Iterable[str], metadata: Mapping[str, str]
) -> frozenset[tuple[TermKind, str]]:
    """Everything a model is found by.

    Args:
        name: Its name.
        description: Its description.
        tags: Its tags; only these are found as tags.
        texts: Description and tags of its newest version, found by their words.
        metadata: Of its newest version, found by the words of keys and values.
    """
    tags = tuple(tags)
    pairs = (part for pair in metadata.items() for part in pair)
    everything = (word for text in (name, description, *tags, *texts, *pairs) for word in words(text))
    found = islice(dict.fromkeys(islice(everything, 100 * MAX_WORDS)), MAX_WORDS)
    return frozenset((TermKind.WORD, word) for word in found) | {(TermKind.TAG, tag_term(tag)) for tag in tags}
