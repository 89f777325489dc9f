# SPDX-License-Identifier: Apache-2.0
"""References to images."""

from __future__ import annotations

import pytest

from artifacts.digest import digest_bytes
from artifacts.oci.reference import Reference, check_repository, check_tag, parse_reference
from artifacts.stores.testing import refused
from core.errors import ErrorCode

DIGEST = digest_bytes(b"x")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("localhost/a", Reference(host="localhost", repository="a")),
        ("registry.example/acme/digits:v1", Reference(host="registry.example", repository="acme/digits", tag="v1")),
        ("127.0.0.1:5000/a/b/c", Reference(host="127.0.0.1:5000", repository="a/b/c")),
        ("[::1]:5000/a:V1.2-x_y", Reference(host="[::1]:5000", repository="a", tag="V1.2-x_y")),
        (f"r.example/a@{DIGEST}", Reference(host="r.example", repository="a", digest=DIGEST)),
        (f"r.example/a:t@{DIGEST}", Reference(host="r.example", repository="a", tag="t", digest=DIGEST)),
    ],
)
def test_references_are_read_and_written(text: str, expected: Reference) -> None:
    """Each part where it belongs, and back to the same text."""
    assert parse_reference(text) == expected
    assert str(expected) == text
    assert expected.pinned == ("@" in text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "digits",
        "acme/digits:v1",  # no registry
        "r.example/",
        "r.example/A",
        "r.example/a//b",
        "r.example/../etc",
        "r.example/a:",
        "r.example/a:-x",
        "r.example/a@sha256:12",
        "r.example/a b",
        "user:secret@r.example/a",
        "http://r.example/a",
        "r.example:123456/a",
        "r.example/a\n",
        "r.example/" + "a" * 1100,
    ],
)
def test_what_is_no_reference_is_refused(text: str) -> None:
    """With the code of an invalid field."""
    with refused(ErrorCode.INVALID_FIELD):
        parse_reference(text)


def test_a_reference_is_pinned_to_a_digest() -> None:
    """The tag goes: it may mean something else by now."""
    assert str(parse_reference("r.example/a:v1").at(DIGEST)) == f"r.example/a@{DIGEST}"


def test_repositories_and_tags_are_checked() -> None:
    """Nothing in them can leave its place in a URL."""
    for name in ("a?b", "a#b", "a/../b", "a%2fb", "Ä", "a" * 256):
        with refused(ErrorCode.INVALID_FIELD):
            check_repository(name)
    for tag in (".a", "a/b", "a?b", "x" * 129):
        with refused(ErrorCode.INVALID_FIELD):
            check_tag(tag)
