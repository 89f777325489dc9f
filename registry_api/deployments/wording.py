# SPDX-License-Identifier: Apache-2.0
"""Numbers of things, in messages."""

from __future__ import annotations


def counted(number: int, thing: str) -> str:
    """``1 instance``, ``2 instances``: for things whose plural ends in s."""
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
