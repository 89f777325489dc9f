# SPDX-License-Identifier: Apache-2.0
"""One tenant's load: wrk, one thread, many connections that pause at random between two requests.

A connection stands for a user: it sends, waits for the answer, pauses between zero and twice ``think_ms``, sends again. Ten
times the load is ten times as many of them. wrk's whole histogram of latencies is kept, in microseconds.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# LuaJIT's random numbers start alike in every process, so every run pauses alike.
_SCRIPT: Final = """
wrk.method = "POST"
for name, value in pairs(%(headers)s) do wrk.headers[name] = value end
local file = io.open(%(body)s, "rb")
wrk.body = file:read("*all")
file:close()
%(pause)s
done = function(summary, latency, requests)
  local e = summary.errors
  local values = {}
  for i = 1, #latency do
    local value, count = latency(i)
    values[i] = string.format("[%%d,%%d]", value, count)
  end
  io.write(string.format('\\nRESULT {"requests": %%d, "microseconds": %%d, "not_200": %%d, "socket": %%d, '
    .. '"histogram": [%%s]}\\n', summary.requests, summary.duration, e.status,
    e.connect + e.read + e.write + e.timeout, table.concat(values, ",")))
end
"""
_PAUSE: Final = "delay = function() return math.random(0, %d) end"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """What one tenant saw during one phase."""

    seconds: float
    requests: int
    not_200: int
    socket_errors: int
    histogram: Sequence[tuple[int, int]]  # microseconds, how often; ascending

    @property
    def per_second(self) -> float:
        """Requests answered 200."""
        return (self.requests - self.not_200) / self.seconds

    def percentile_ms(self, share: float) -> float:
        """The latency in milliseconds that ``share`` (0 to 1) of the requests did not exceed."""
        wanted, seen = share * sum(count for _, count in self.histogram), 0
        for microseconds, count in self.histogram:
            seen += count
            if seen >= wanted:
                return microseconds / 1000
        return 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """What one tenant sends."""

    url: str
    headers: Mapping[str, str]
    body: Path
    connections: int
    think_ms: int  # mean pause; 0: none

    def start(self, scratch: Path, *, seconds: int) -> subprocess.Popen[str]:
        """Starts sending.

        Args:
            scratch: Where the script, which holds the key, is written.
            seconds: How long to send.
        """
        script = scratch / f"load-{self.connections}.lua"
        script.touch(mode=0o600)
        script.write_text(
            _SCRIPT
            % {
                "headers": "{" + ", ".join(f"[{json.dumps(n)}]={json.dumps(v)}" for n, v in self.headers.items()) + "}",
                "body": json.dumps(str(self.body)),
                "pause": _PAUSE % (2 * self.think_ms) if self.think_ms else "",
            }
        )
        command = ["wrk", "-t1", f"-c{self.connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(script)]
        return subprocess.Popen([*command, self.url], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def finish(running: subprocess.Popen[str]) -> Sample:
    """Waits for the end and returns what was seen.

    Raises:
        RuntimeError: If wrk failed; its words are in the message.
    """
    output, _ = running.communicate()
    line = next((line for line in output.splitlines() if line.startswith("RESULT ")), None)
    if line is None:
        raise RuntimeError(f"wrk ended with {running.returncode}: {output[-500:]}")
    found = json.loads(line.removeprefix("RESULT "))
    return Sample(
        seconds=found["microseconds"] / 1e6,
        requests=found["requests"],
        not_200=found["not_200"],
        socket_errors=found["socket"],
        histogram=found["histogram"],
    )
