# SPDX-License-Identifier: Apache-2.0
"""WWW-Authenticate."""

from __future__ import annotations

import time

import pytest

from artifacts.oci.challenges import Challenge, parse_challenges


def test_a_bearer_challenge_is_read() -> None:
    """With commas inside quotes, names in any case, and bare values."""
    header = 'Bearer realm="https://auth.example/token",Service=registry, scope="repository:a:pull,push"'
    expected = {"realm": "https://auth.example/token", "service": "registry", "scope": "repository:a:pull,push"}
    assert parse_challenges([header]) == (Challenge(scheme="bearer", parameters=expected),)


def test_several_challenges_are_read() -> None:
    """In one header, and in several."""
    one = parse_challenges(['Basic realm="a", Bearer realm="b\\"c"'])
    assert [(found.scheme, found.parameters["realm"]) for found in one] == [("basic", "a"), ("bearer", 'b"c')]
    two = parse_challenges(['Basic realm="a"', "Negotiate"])
    assert [found.scheme for found in two] == ["basic", "negotiate"]


@pytest.mark.parametrize("header", ["", ",,,", "=", '"', "Bearer", 'Bearer realm="', "\x00\xff"])
def test_garbage_is_no_parameter(header: str) -> None:
    """What cannot be understood is left out."""
    assert all(not found.parameters for found in parse_challenges([header]))


def test_long_headers_take_linear_time() -> None:
    """Headers made to be slow are not."""
    million = 1_000_000
    slow = ("a" * million, "a=" * million, 'Bearer x="' + "\\" * million, "Bearer " + "a=b," * million, " " * million)
    start = time.perf_counter()
    for header in slow:
        parse_challenges([header])
    assert time.perf_counter() - start < 20  # quadratic: hours
