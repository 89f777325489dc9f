# SPDX-License-Identifier: Apache-2.0
"""Names, versions and references: what is read, what is written, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.testing import refused
from core.errors import ErrorCode, InvalidRequest
from core.refs import ModelRef, parse_name, parse_version


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "a..b",
        "-a",
        "_a",
        ".a",
        "Acme",
        "a/b",
        "a\\b",
        "a b",
        "a\n",
        "a\0",
        "é",
        "а",  # Cyrillic
        "1²",
        "a" * 64,
        "a@b",
        "%2e%2e",
    ],
)
def test_illegal_names_are_refused(name: str) -> None:
    """Nothing that could leave a folder, break a line or look like something else is a name."""
    with refused(ErrorCode.INVALID_FIELD, "model"):
        parse_name(name, what="model")


def test_the_longest_name_is_legal() -> None:
    """63 characters are accepted."""
    assert parse_name("a" * 63, what="model") == "a" * 63


@given(st.text(max_size=80))
def test_a_name_is_taken_as_it_is_or_refused(text: str) -> None:
    """Nothing is trimmed, folded or repaired."""
    try:
        name, code = parse_name(text, what="model"), ErrorCode.INVALID_FIELD
    except InvalidRequest as error:
        name, code = text, error.code
    assert (name, code) == (text, ErrorCode.INVALID_FIELD)


@pytest.mark.parametrize("text", ["", "0", "-1", "01", "٣", "²", "12345678901", "1@2", "1 ", "champion"])
def test_illegal_versions_are_refused(text: str) -> None:
    """A digit of another script is a digit, but not one of ours."""
    with refused(ErrorCode.INVALID_FIELD, "Version"):
        parse_version(text)


def test_a_long_text_is_not_repeated() -> None:
    """A refusal shows the beginning of what it got, not megabytes of it."""
    with pytest.raises(InvalidRequest) as caught:
        parse_name("x" * 100_000, what="model")
    assert len(caught.value.message) < 300


@given(st.integers(1, 9_999_999_999))
def test_versions_round_trip(number: int) -> None:
    """parse_version(str(n)) == n."""
    assert parse_version(str(number)) == number


def test_a_reference_names_tenant_model_and_version() -> None:
    """As people write it."""
    assert str(ModelRef(tenant="acme", model="digits", version=3)) == "acme/digits@3"
