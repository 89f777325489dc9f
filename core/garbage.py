# SPDX-License-Identifier: Apache-2.0
"""Python's cycle collector in a process that serves.

A full collection visits every object of the imported modules, which stalls requests for tens of milliseconds (measured in
the registry: the slowest of a hundred listings took 88 ms instead of 15). They live as long as the process, so the collector
need not look at them again. Requests make few cycles: young collections may be rarer than for a program at large.
"""

from __future__ import annotations

import gc


def settle() -> None:
    """Takes what exists now out of the collector's sight; call it once, when the process is ready to serve."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(5_000, 10, 10)
