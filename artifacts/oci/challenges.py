# SPDX-License-Identifier: Apache-2.0
"""What a registry asks for with a 401: the header ``WWW-Authenticate``, RFC 9110 section 11.6.1.

Read from a stranger: linear time, at most 8 KiB, and what cannot be understood is no challenge.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

_MOST: Final = 8 * 1024
_TOKEN: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # noqa: S105 - a grammar
_SCHEME: Final = re.compile(rf"\s*({_TOKEN})(?:\s+|$)")
_PARAMETER: Final = re.compile(rf'\s*({_TOKEN})\s*=\s*(?:({_TOKEN})|"((?:[^"\\]|\\.)*)")\s*(?:,|$)')
_ESCAPED: Final = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Challenge:
    """One way in."""

    scheme: str  # lower case: "basic", "bearer"
    parameters: Mapping[str, str]  # names in lower case


def parse_challenges(headers: Iterable[str]) -> tuple[Challenge, ...]:
    """Every challenge of the given headers, in order."""
    return tuple(challenge for header in headers for challenge in _of(header[:_MOST]))


def _of(header: str) -> Iterator[Challenge]:
    at = 0
    while (scheme := _SCHEME.match(header, at)) is not None:
        parameters: dict[str, str] = {}
        at = scheme.end()
        while (found := _PARAMETER.match(header, at)) is not None:
            quoted = found[3]
            parameters[found[1].lower()] = found[2] if quoted is None else _ESCAPED.sub(r"\1", quoted)
            at = found.end()
        yield Challenge(scheme=scheme[1].lower(), parameters=parameters)
