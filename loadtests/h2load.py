# SPDX-License-Identifier: Apache-2.0
"""Runs h2load against one gRPC method and reads its figures.

h2load knows HTTP/2, not gRPC: a call that failed is a 200 whose status stands in a trailer. Such an answer has no message,
so it is told from a good one by the bytes that arrived.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Final

import numpy as np

from loadtests.wrk import Figures

_CONNECTIONS: Final = 4
_REQUESTS: Final = re.compile(r"^requests: .* (\d+) done, (\d+) succeeded", re.MULTILINE)
_DATA: Final = re.compile(r"^traffic: .*\((\d+)\) data", re.MULTILINE)
_FRAME: Final = 5  # bytes before each message: whether it is compressed, and its length


def frame(message: bytes) -> bytes:
    """A message as it travels in a gRPC body."""
    return b"\0" + len(message).to_bytes(_FRAME - 1, "big") + message


def h2load(
    url: str, message: bytes, *, answer: int, headers: dict[str, str], in_flight: int, seconds: float, scratch: Path
) -> Figures:
    """Loads one method from one thread over at most four connections.

    Args:
        url: ``http://host:port/package.Service/Method``.
        message: The serialized request.
        answer: Bytes of a good serialized answer.
        headers: Metadata, lower case.
        in_flight: Calls open at once, over all connections.
        seconds: How long.
        scratch: A folder for the body and the log.

    Raises:
        subprocess.CalledProcessError: If h2load fails.
    """
    body, log = scratch / "grpc-body", scratch / "h2load.log"
    body.write_bytes(frame(message))
    log.unlink(missing_ok=True)  # h2load appends
    clients = min(in_flight, _CONNECTIONS)
    sent = {"content-type": "application/grpc", "te": "trailers", **headers}
    command = ["h2load", "-t1", f"-c{clients}", f"-m{in_flight // clients}", f"-D{max(1, round(seconds))}"]
    command += [f"--data={body}", f"--log-file={log}", *(f"-H{name}: {value}" for name, value in sent.items()), url]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    done, succeeded = map(int, _found(_REQUESTS, output))
    good = min(succeeded, int(_found(_DATA, output)[0]) // (answer + _FRAME))
    microseconds = np.loadtxt(log, usecols=2, ndmin=1)
    p50, p99 = np.percentile(microseconds, (50, 99)) / 1e3
    return Figures(
        seconds=max(1, round(seconds)), requests=done, p50_ms=float(p50), p99_ms=float(p99), errors=done - good
    )


def _found(pattern: re.Pattern[str], output: str) -> tuple[str, ...]:
    match = pattern.search(output)
    if match is None:
        raise ValueError(f"h2load printed no {pattern.pattern!r}:\n{output}")
    return match.groups()
