# SPDX-License-Identifier: Apache-2.0
"""References: what is read, what is written, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifacts.testing import refused
from core.errors import ErrorCode, InvalidRequest
from core.refs import ModelRef, parse_name, parse_ref, parse_version

names = st.from_regex(r"[a-z0-9][a-z0-9._-]{0,62}", fullmatch=True).filter(lambda name: ".." not in name)
versions = st.integers(1, 9_999_999_999)
aliases = names.filter(lambda name: not name.isdigit())
refs = st.one_of(
    st.builds(ModelRef, tenant=names, model=names),
    st.builds(ModelRef, tenant=names, model=names, version=versions),
    st.builds(ModelRef, tenant=names, model=names, alias=aliases),
)


@given(refs)
def test_what_is_written_is_read(ref: ModelRef) -> None:
    """parse_ref(str(ref)) == ref."""
    assert parse_ref(str(ref)) == ref


@given(st.text(max_size=80))
def test_what_is_read_is_written(text: str) -> None:
    """Any text either is refused with VALID_002 or is a reference that is written as it was read."""
    try:
        ref = parse_ref(text)
    except InvalidRequest as error:
        written, code = text, error.code
    else:
        written, code = str(ref), ErrorCode.INVALID_FIELD
    assert (written, code) == (text, ErrorCode.INVALID_FIELD)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("acme/digits@3", ModelRef(tenant="acme", model="digits", version=3)),
        ("acme/digits@champion", ModelRef(tenant="acme", model="digits", alias="champion")),
        ("acme/digits@3a", ModelRef(tenant="acme", model="digits", alias="3a")),
        ("digits", ModelRef(tenant="mine", model="digits")),
        ("digits@12", ModelRef(tenant="mine", model="digits", version=12)),
    ],
)
def test_examples(text: str, expected: ModelRef) -> None:
    """Version, alias, default tenant."""
    assert parse_ref(text, default_tenant="mine") == expected


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


@pytest.mark.parametrize(
    "text",
    [
        "acme/digits@",
        "acme/digits@0",
        "acme/digits@-1",
        "acme/digits@01",
        "acme/digits@٣",  # a digit, but not one of ours
        "acme/digits@²",
        "acme/digits@12345678901",
        "acme/digits@1@2",
        "acme/../digits",
        "acme//digits",
        "/digits",
        "acme/",
        "a/b/c",
        "@3",
        "ACME/digits",
        "digits",
    ],
)
def test_illegal_references_are_refused(text: str) -> None:
    """Every part must be legal, and without a default the tenant must be named."""
    with refused(ErrorCode.INVALID_FIELD):
        parse_ref(text)


def test_a_long_text_is_not_repeated() -> None:
    """A refusal shows the beginning of what it got, not megabytes of it."""
    with pytest.raises(InvalidRequest) as caught:
        parse_name("x" * 100_000, what="model")
    assert len(caught.value.message) < 300


@given(versions)
def test_versions_round_trip(number: int) -> None:
    """parse_version(str(n)) == n."""
    assert parse_version(str(number)) == number


def test_at_narrows_to_a_version() -> None:
    """at() replaces an alias by the version."""
    assert str(parse_ref("acme/digits@champion").at(7)) == "acme/digits@7"
