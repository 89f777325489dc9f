# SPDX-License-Identifier: Apache-2.0
"""The allocator keeps to one arena."""

from __future__ import annotations

import subprocess
import sys

_CHILD = """
import ctypes, hashlib, sys
from concurrent.futures import ThreadPoolExecutor
from artifacts.stores.memory import use_one_arena
if sys.argv[1] == "one":
    use_one_arena()
with ThreadPoolExecutor(4) as threads:
    list(threads.map(lambda at: bytearray(100_000), range(64)))
ctypes.CDLL(None).malloc_stats()
"""


def _arenas(which: str) -> int:
    done = subprocess.run([sys.executable, "-c", _CHILD, which], capture_output=True, text=True, check=True)
    return done.stderr.count("Arena ")


def test_threads_share_one_arena() -> None:
    """glibc's own statistics tell of one, and of several without it."""
    assert _arenas("one") == 1
    assert _arenas("many") > 1
