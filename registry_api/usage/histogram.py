# SPDX-License-Identifier: Apache-2.0
"""Latencies in bins that can be added up. Pure.

A bin covers a quarter of a doubling: bin ``b`` holds durations of ``[2^(b/4), 2^((b+1)/4))`` microseconds, so a percentile
is at most 9 % off whatever was merged. Law: the histogram of a union is the sum of the histograms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, MutableMapping
from typing import Final, TypeAlias

_PER_DOUBLING: Final = 4

Bins: TypeAlias = Mapping[str, float]  # requests by bin; JSON has text for names


def bin_of(microseconds: int) -> str:
    """The bin of a duration."""
    return str(math.floor(math.log2(max(1, microseconds)) * _PER_DOUBLING))


def add(into: MutableMapping[str, float], bins: Bins) -> None:
    """Adds ``bins`` to ``into``."""
    for name, count in bins.items():
        into[name] = into.get(name, 0.0) + count


def percentile(bins: Bins, share: float) -> float | None:
    """The duration in milliseconds that ``share`` of the requests did not exceed; None: there were none."""
    total = sum(bins.values())
    if total <= 0:
        return None
    seen = 0.0
    for name in sorted(bins, key=int):
        seen += bins[name]
        if seen >= share * total:
            break
    milliseconds: float = 2.0 ** ((int(name) + 0.5) / _PER_DOUBLING) / 1000
    return round(milliseconds, 3)
