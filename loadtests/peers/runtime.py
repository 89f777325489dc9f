# SPDX-License-Identifier: Apache-2.0
"""``python -m loadtests.peers.runtime``: onnxruntime alone, without a server, and prints its figures as JSON.

Each instance is a session and a thread that runs one batch after another, which is the most any server around the same
runtime can reach.
"""

from __future__ import annotations

import argparse
import json
import threading
import time
from pathlib import Path

import numpy as np

from loadtests.peers.session import open_session


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("model", type=Path)
    parser.add_argument("request", type=Path, help=".npz with the inputs of one row")
    parser.add_argument("--instances", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=2.0)
    options = parser.parse_args()
    row = dict(np.load(options.request))
    inputs = {name: np.concatenate([array] * options.batch) for name, array in row.items()}
    sessions = [open_session(options.model, threads=options.threads) for _ in range(options.instances)]
    times: list[float] = []
    begin = threading.Barrier(len(sessions) + 1)

    def loop(session: object) -> None:
        for _ in range(3):
            session.run(None, inputs)  # type: ignore[attr-defined] # onnxruntime has no types
        begin.wait()
        end = time.perf_counter() + options.seconds
        while (start := time.perf_counter()) < end:
            session.run(None, inputs)  # type: ignore[attr-defined]
            times.append(time.perf_counter() - start)

    threads = [threading.Thread(target=loop, args=(session,)) for session in sessions]
    for thread in threads:
        thread.start()
    begin.wait()
    started = time.perf_counter()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - started
    p50, p99 = np.percentile(times, (50, 99)) * 1e3
    print(json.dumps({"per_second": len(times) * options.batch / seconds, "p50_ms": p50, "p99_ms": p99, "errors": 0}))


if __name__ == "__main__":
    main()
