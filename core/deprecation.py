# SPDX-License-Identifier: Apache-2.0
"""What callers of a deprecated version are told with every answer: ``Deprecation`` (RFC 9745) and ``Sunset`` (RFC 8594)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import TypeAlias

Lines: TypeAlias = tuple[tuple[bytes, bytes], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """That a version is deprecated. Its forms are made once, not for each answer."""

    since: datetime
    sunset: datetime | None = None  # when it may stop being served; None: not decided
    lines: Lines = field(init=False, compare=False)  # names in lower case, as ASGI wants them
    head: bytes = field(init=False, compare=False)  # the same as HTTP/1.1 writes it
    metadata: tuple[tuple[str, str], ...] = field(init=False, compare=False)  # the same for gRPC

    def __post_init__(self) -> None:
        lines = [("deprecation", f"@{int(self.since.timestamp())}")]  # a Date of RFC 9651
        if self.sunset is not None:
            lines.append(("sunset", format_datetime(self.sunset.astimezone(UTC), usegmt=True)))
        encoded = tuple((name.encode(), value.encode()) for name, value in lines)
        object.__setattr__(self, "metadata", tuple(lines))
        object.__setattr__(self, "lines", encoded)
        object.__setattr__(self, "head", b"".join(b"%b: %b\r\n" % line for line in encoded))
