# SPDX-License-Identifier: Apache-2.0
"""Runs wrk against one URL and reads its figures."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# wrk calls done() once at the end; latencies are in microseconds.
_SCRIPT: Final = """
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = %s
done = function(summary, latency, requests)
  local e = summary.errors
  io.write(string.format('\\nRESULT {"requests": %%d, "microseconds": %%d, "p50_us": %%d, '
    .. '"p99_us": %%d, "not_200": %%d, "socket": %%d}\\n', summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.status,
    e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One run of wrk."""

    server: str
    connections: int
    seconds: float
    requests: int
    p50_ms: float
    p99_ms: float
    not_200: int
    socket_errors: int

    @property
    def per_second(self) -> float:
        return (self.requests - self.not_200) / self.seconds


def measure(server: str, url: str, body: str, *, connections: int, seconds: int, scratch: Path) -> Sample:
    """Loads ``url`` from one wrk thread and returns what wrk saw.

    Raises:
        subprocess.CalledProcessError: If wrk fails.
    """
    script = scratch / "post.lua"
    script.write_text(_SCRIPT % json.dumps(body))
    command = ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s", "-s", str(script), url]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    line = next(line for line in output.splitlines() if line.startswith("RESULT "))
    found = json.loads(line.removeprefix("RESULT "))
    return Sample(
        server=server,
        connections=connections,
        seconds=found["microseconds"] / 1e6,
        requests=found["requests"],
        p50_ms=found["p50_us"] / 1e3,
        p99_ms=found["p99_us"] / 1e3,
        not_200=found["not_200"],
        socket_errors=found["socket"],
    )
