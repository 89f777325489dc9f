# SPDX-License-Identifier: Apache-2.0
"""``512M`` or ``2G`` on the command line."""

from __future__ import annotations

import re
from typing import Final

import click

_SIZE: Final = re.compile(r"(?P<count>[1-9][0-9]{0,12})(?P<unit>[KMGT]?)(i?B)?", re.IGNORECASE)
_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def parse_size(ctx: click.Context, param: click.Parameter | None, value: str | None) -> int | None:
    """Reads a number of bytes, with K, M, G or T for powers of 1024; a usage error if it is none. None stays None."""
    if value is None:
        return None
    found = _SIZE.fullmatch(value)
    if found is None:
        raise click.BadParameter(f"{value!r} is no size; expected a number of bytes, such as 512M or 2G.", ctx, param)
    return int(found["count"]) * _UNITS[found["unit"].upper()]
