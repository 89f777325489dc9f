# SPDX-License-Identifier: Apache-2.0
"""Two deployments that differ have different release names, however alike they are; every name is a DNS label that fits."""

from __future__ import annotations

import re

from hypothesis import example, given
from hypothesis import strategies as st

from core.refs import NAME_PATTERN
from registry_api.deployments.kubernetes.naming import SERVER, label_value, release_name

LONGEST_SUFFIX = "-serving"  # that the chart adds
NAMES = st.from_regex(NAME_PATTERN, fullmatch=True)
KEYS = st.tuples(NAMES, NAMES, NAMES)
LABEL = re.compile(r"[a-z]([a-z0-9-]*[a-z0-9])?")
VALUE = re.compile(r"([A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?)?")


@given(KEYS)
@example(("i", "0", "-"))
@example(("i" * 63, "a" * 63, "_" * 63))
@example(("i", "a" * 11 + "-" * 52, "9.9"))
def test_a_release_name_fits(key: tuple[str, str, str]) -> None:
    """A letter first, at most 63 characters with the longest suffix, and the same each time."""
    release = release_name(*key)

    assert len(SERVER) < len(LONGEST_SUFFIX)
    assert LABEL.fullmatch(release)
    assert len(release + LONGEST_SUFFIX) <= 63
    assert release_name(*key) == release


@given(KEYS, KEYS)
@example(("i", "acme", "digits"), ("i", "acme-digits", ""))
@example(("i", "a-b", "c"), ("i", "a", "b-c"))
@example(("i", "a.b", "c"), ("i", "a-b", "c"))
@example(("i", "x" * 62 + "a", "c"), ("i", "x" * 62 + "b", "c"))
def test_names_are_free_of_collisions(one: tuple[str, str, str], other: tuple[str, str, str]) -> None:
    """Equal names mean the same registry, tenant and deployment; neither name begins the other's objects."""
    names = release_name(*one), release_name(*other)

    assert (names[0] == names[1]) == (one == other)
    assert one == other or not f"{names[0]}-{SERVER}".startswith(f"{names[1]}-")


@given(NAMES, NAMES)
@example("a-", "a")
@example("a" * 63, "a" * 62 + "-")
def test_label_values_are_legal_and_differ(one: str, other: str) -> None:
    """Every name has a legal label value of its own."""
    for name in (one, other):
        assert VALUE.fullmatch(label_value(name))
        assert len(label_value(name)) <= 63
    assert (label_value(one) == label_value(other)) == (one == other)
