# SPDX-License-Identifier: Apache-2.0
"""Ranges of bytes, as parts of a blob are named by them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Span:
    """A range of bytes."""

    start: int
    end: int  # the byte after the last

    @property
    def size(self) -> int:
        """Bytes in it."""
        return self.end - self.start

    def overlaps(self, other: Span) -> bool:
        """Whether they have a byte in common."""
        return self.start < other.end and other.start < self.end
