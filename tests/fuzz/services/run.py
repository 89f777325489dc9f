# SPDX-License-Identifier: Apache-2.0
"""``python -m tests.fuzz.services.run``: as many cases as wanted against every decoder, and what became of them.

Cases are numbered: a run of the same numbers is the same run, and a failing number is printed with its bytes. Ends with 1 at
the first exception that is no refusal, with 0 and a table otherwise.
"""

from __future__ import annotations

import argparse
import faulthandler
import resource
import sys
import time
import traceback
from collections import Counter

from tests.fuzz.services.targets import TARGETS, Target, case, outcome

_SLOW_S = 0.25  # a case that takes longer holds the event loop for too long; the limits in targets.py are small


def fuzz(target: Target, first: int, cases: int) -> tuple[Counter[str], float]:
    """Runs cases by number; what became of them, and the seconds of the slowest.

    Raises:
        Exception: What a case raised, with its number and bytes noted.
    """
    counts: Counter[str] = Counter()
    slowest = 0.0
    for number in range(first, first + cases):
        data = case(target, number)
        started = time.thread_time()  # what others do on this machine does not count
        try:
            counts[outcome(target, data)] += 1
        except BaseException as error:
            error.add_note(f"{target.name}: case {number} is {data!r}")
            raise
        slowest = max(slowest, time.thread_time() - started)
    return counts, slowest


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=1_000_000, help="of all targets together")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--target", choices=TARGETS, action="append")
    options = parser.parse_args()
    faulthandler.enable()
    targets = options.target or list(TARGETS)
    share = -(-options.cases // len(targets))
    for name in targets:
        started = time.perf_counter()
        try:
            counts, slowest = fuzz(TARGETS[name], options.first, share)
        except Exception:
            traceback.print_exc()
            return 1
        seconds = time.perf_counter() - started
        codes = " ".join(f"{code}={count}" for code, count in counts.most_common())
        print(f"{name}: {share} cases in {seconds:.0f} s, slowest {slowest * 1e3:.1f} ms: {codes}", flush=True)
        if slowest > _SLOW_S:
            print(f"{name}: a case took {slowest:.2f} s", file=sys.stderr)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
