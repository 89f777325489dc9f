# SPDX-License-Identifier: Apache-2.0
"""Who asks, and under which request id.

A caller's ``X-Request-ID`` is echoed when it is 1-128 characters of letters, digits and ``-_.:``; anything else is replaced,
so that a header can never carry a line break into a log.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass
from typing import Final

# Ids need to be unique, not secret: one draw from the system seeds them all.
_ids: Final = random.Random(random.SystemRandom().getrandbits(256))  # noqa: S311
_LEGAL_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """An authenticated caller."""

    tenant: str
    key_id: str  # which credential; safe to log


def request_id(header: bytes | None) -> str:
    """The caller's id if it is legal, else a new random one (128 bits, hexadecimal)."""
    if header is not None and _LEGAL_ID.fullmatch(header):
        return header.decode("ascii")
    return f"{_ids.getrandbits(128):032x}"
