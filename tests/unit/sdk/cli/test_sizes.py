# SPDX-License-Identifier: Apache-2.0
"""Sizes on the command line."""

from __future__ import annotations

import click
import pytest

from furoshiki.cli.sizes import parse_size

CONTEXT = click.Context(click.Command("test"))


@pytest.mark.parametrize(
    ("text", "size"), [("1", 1), ("64K", 65536), ("512M", 1 << 29), ("2g", 2 << 30), ("2GiB", 2 << 30), (None, None)]
)
def test_units_are_powers_of_1024(text: str | None, size: int | None) -> None:
    """A number with K, M, G or T is so many bytes."""
    assert parse_size(CONTEXT, None, text) == size


@pytest.mark.parametrize("text", ["", "0", "-1", "1.5G", "G", "12X", "1 G"])
def test_what_is_no_size_is_refused(text: str) -> None:
    """Anything else is a usage error."""
    with pytest.raises(click.BadParameter, match="no size"):
        parse_size(CONTEXT, None, text)
