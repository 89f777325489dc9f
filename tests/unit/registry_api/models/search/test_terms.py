# SPDX-License-Identifier: Apache-2.0
"""Words, tags and the questions asked of them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import ErrorCode, InvalidRequest
from registry_api.models.search.terms import MAX_WORD, MAX_WORDS, TermKind, asked, range_of, tag_term, terms_of, words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Handwritten digits, 8x8.", ["handwritten", "digits", "8x8"]),
        ("resnet-50_v1.5", ["resnet", "50", "v1", "5"]),
        ("ＭＮＩＳＴ Straße ﬁne", ["mnist", "strasse", "fine"]),
        ("数字 識別", ["数字", "識別"]),
        ("'; DROP TABLE models; --", ["drop", "table", "models"]),
        ('NEAR("a b", 5) AND NOT c*', ["near", "a", "b", "5", "and", "not", "c"]),
        ("\x00 *** _ ", []),
        ("x" * 100, ["x" * MAX_WORD]),
    ],
)
def test_a_text_is_cut_into_words(text: str, expected: list[str]) -> None:
    """Letters and digits of any script, folded; everything else only separates."""
    assert list(words(text)) == expected


@given(st.text(max_size=200))
def test_every_word_is_found_by_each_of_its_beginnings(text: str) -> None:
    """Law: a word lies in the range of each prefix of it, in the order of code points."""
    for word in words(text):
        for end in range(1, len(word) + 1):
            first, last = range_of(word[:end])
            assert first <= word <= last


@given(st.text(max_size=100))
def test_words_of_words_are_the_same(text: str) -> None:
    """Cutting is stable: a question that repeats a word of the text has exactly that word."""
    found = list(words(text))
    assert list(words(" ".join(found))) == found or any(len(word) == MAX_WORD for word in found)


def test_a_question_has_a_limit() -> None:
    """Eight different words are allowed, a ninth is VALID_002; repeating one is not another."""
    assert len(asked("a b c d e f g h a b c")) == 8
    with pytest.raises(InvalidRequest) as caught:
        asked("a b c d e f g h i")
    assert caught.value.code is ErrorCode.INVALID_FIELD


def test_a_model_has_words_and_tags() -> None:
    """Everything is found by words; only the model's own tags as tags; the number of words is bounded."""
    found = terms_of("digits", "An eye", ["team:vision"], ["tried:yes"], {"dataset": "optdigits"})
    assert {term for kind, term in found if kind is TermKind.TAG} == {"team:vision"}
    assert {"digits", "an", "eye", "team", "vision", "tried", "yes", "dataset", "optdigits"} == {
        term for kind, term in found if kind is TermKind.WORD
    }
    many = terms_of("m", " ".join(f"w{number}" for number in range(5000)), [], [], {})
    assert len(many) == MAX_WORDS


def test_a_tag_without_a_value_has_an_empty_one() -> None:
    """So that the key alone finds it, and the key of another tag does not."""
    assert (tag_term("demo"), tag_term("team:a"), tag_term("team:a:b")) == ("demo:", "team:a", "team:a:b")
