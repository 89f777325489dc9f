# SPDX-License-Identifier: Apache-2.0
"""Waiting for other processes, which cannot set an event."""

from __future__ import annotations

import time
from collections.abc import Callable

SECONDS = 30.0


def until(holds: Callable[[], bool]) -> None:
    """Looks until ``holds`` is true."""
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end, "not within 30 s"
        time.sleep(0.02)
