# SPDX-License-Identifier: Apache-2.0
"""From looks at a pod's log, which overlap and are cut, to every line once.

The law: whatever the looks are cut to, what :func:`unread` gives of them, look after look, is what the pod printed, each
line once and in order, as long as its node's clock does not go back. Each line comes after its timestamp; several may have
the same.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final

SECOND: Final = 1_000_000_000  # nanoseconds
_STAMP: Final = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d) ")


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """How far a log was read."""

    moment: int = 0  # of the last line, in nanoseconds since 1970; 0: nothing was read
    lines: int = 0  # of that moment that were read

    @property
    def since(self) -> str | None:
        """From where to read on: RFC 3339 in whole seconds; None: from the beginning."""
        if self.moment == 0:
            return None
        return datetime.fromtimestamp(self.moment // SECOND, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    @property
    def next_second(self) -> Place:
        """The place after everything of this second."""
        return Place(moment=(self.moment // SECOND + 1) * SECOND)


BEGINNING: Final = Place()


def unread(data: bytes, place: Place, *, ended: bool) -> tuple[bytes, Place]:
    """The lines of a look that were not read before, without their timestamps, and how far that is.

    Args:
        data: What the pod printed since ``place.since``, with timestamps.
        place: How far it was read.
        ended: Whether nothing comes after a last line without its end; otherwise the next look has all of it.
    """
    *whole, rest = data.split(b"\n")
    if ended and rest:
        whole.append(rest)
    found: list[bytes] = []
    at, now, passed = place, 0, 0  # passed: lines of the moment of ``place`` that this look has had
    for line in whole:
        moment, text = _read(line, now)
        now = moment = max(moment, now)
        if moment < place.moment:
            continue
        if moment == place.moment:
            passed += 1
            if passed <= place.lines:
                continue
        at = replace(at, lines=at.lines + 1) if moment == at.moment else Place(moment=moment, lines=1)
        found.append(text + b"\n")
    return b"".join(found), at


def _read(line: bytes, before: int) -> tuple[int, bytes]:
    """The moment of a line and its text; without a timestamp it is of the moment before."""
    found = _STAMP.match(line)
    if found is None:
        return before, line
    second, fraction, zone = (each.decode() for each in found.groups(default=b""))
    whole = datetime.fromisoformat(second + zone.replace("Z", "+00:00"))
    return int(whole.timestamp()) * SECOND + int(fraction.ljust(9, "0")), line[found.end() :]
