# SPDX-License-Identifier: Apache-2.0
"""Progress of transfers, as told to callbacks. Callbacks run where the call runs and should return soon."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeAlias


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """How far a transfer is. ``done`` may fall back when an attempt is repeated."""

    phase: Literal["hash", "upload", "download"]
    path: str  # the file at work
    done: int  # bytes of the whole transfer so far
    total: int  # bytes of the whole transfer


OnProgress: TypeAlias = Callable[[Progress], None]
