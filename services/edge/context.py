# SPDX-License-Identifier: Apache-2.0
"""Who asks, what they may use, and under which request id.

A caller's ``X-Request-ID`` is echoed when it is 1-128 characters of letters, digits and ``-_.:``; anything else is replaced,
so that a header can never carry a line break into a log.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Final

from services.edge.features import DEFAULT_FEATURES

# Ids need to be unique, not secret: one draw from the system seeds them all.
_ids: Final = random.Random(random.SystemRandom().getrandbits(256))  # noqa: S311
_LEGAL_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
_LEGAL_TRACE: Final = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")  # W3C Trace Context 1


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantLimits:
    """How much one tenant may ask for, with all its credentials together. None: the service's default."""

    requests_per_second: float | None = None  # in the long run; 0: none at all
    burst: int | None = None  # requests at once after a pause
    concurrent_requests: int | None = None  # under way at a time; 0: none at all
    requests_per_hour: int | None = None  # of UTC; 0: none at all
    requests_per_day: int | None = None  # of UTC; 0: none at all


NO_LIMITS: Final = TenantLimits()


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """An authenticated caller."""

    tenant: str
    key_id: str  # which credential; safe to log
    limits: TenantLimits = NO_LIMITS  # as the tenant's record says
    features: frozenset[str] = DEFAULT_FEATURES  # what is switched on for the tenant; see services.edge.features


def request_id(header: bytes | None) -> str:
    """The caller's id if it is legal, else a new random one (128 bits, hexadecimal)."""
    if header is not None and _LEGAL_ID.fullmatch(header):
        return header.decode("ascii")
    return f"{_ids.getrandbits(128):032x}"


def traceparent(header: bytes | None) -> str | None:
    """The caller's trace context if it is legal."""
    return header.decode("ascii") if header is not None and _LEGAL_TRACE.fullmatch(header) else None
