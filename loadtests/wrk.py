# SPDX-License-Identifier: Apache-2.0
"""Runs wrk against one URL and reads its figures."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

# Bodies are read from files, as Lua has no literal for any byte. One request is sent as it is; of several, each connection
# takes the next. wrk calls done() once at the end; latencies are in microseconds.
_SCRIPT: Final = """
wrk.method = "POST"
local function content(name)
  local file = assert(io.open(name, "rb"))
  local bytes = file:read("*a")
  file:close()
  return bytes
end
local requests = {%s}
if #requests == 1 then
  wrk.headers, wrk.body = requests[1][1], content(requests[1][2])
else
  local texts, turn = {}, 0
  init = function()
    for index, each in ipairs(requests) do
      texts[index] = wrk.format(nil, nil, each[1], content(each[2]))
    end
  end
  request = function()
    turn = turn %% #texts + 1
    return texts[turn]
  end
end
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('\\nRESULT {"requests": %%d, "microseconds": %%d, "p50_us": %%d, '
    .. '"p99_us": %%d, "not_200": %%d, "socket": %%d}\\n', summary.requests, summary.duration,
    latency:percentile(50), latency:percentile(99), e.status,
    e.connect + e.read + e.write + e.timeout))
end
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Post:
    """One request."""

    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """What a load generator saw in one run."""

    seconds: float
    requests: int  # answered, errors included
    p50_ms: float
    p99_ms: float
    errors: int  # answers other than 200, and connections that failed

    @property
    def per_second(self) -> float:
        """Good answers per second."""
        return max(0, self.requests - self.errors) / self.seconds


def wrk(url: str, posts: Sequence[Post], *, connections: int, seconds: float, scratch: Path) -> Figures:
    """Loads ``url`` from one thread.

    Args:
        url: Where every request goes.
        posts: The requests, taken in turn.
        connections: Open at once; each sends its next request when it has its answer.
        seconds: How long, rounded to whole ones.
        scratch: A folder for the script and the bodies.

    Raises:
        subprocess.CalledProcessError: If wrk fails.
    """
    script = scratch / "post.lua"
    script.write_text(_SCRIPT % ", ".join(_lua(post, scratch / f"body-{i}") for i, post in enumerate(posts)))
    duration = f"-d{max(1, round(seconds))}s"
    command = ["wrk", "-t1", f"-c{connections}", duration, "--timeout", "30s", "-s", str(script), url]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    line = next(line for line in output.splitlines() if line.startswith("RESULT "))
    found = json.loads(line.removeprefix("RESULT "))
    return Figures(
        seconds=found["microseconds"] / 1e6,
        requests=found["requests"],
        p50_ms=found["p50_us"] / 1e3,
        p99_ms=found["p99_us"] / 1e3,
        errors=found["not_200"] + found["socket"],
    )


def _lua(post: Post, file: Path) -> str:
    file.write_bytes(post.body)
    headers = ", ".join(f"[{json.dumps(name)}] = {json.dumps(value)}" for name, value in post.headers.items())
    return f"{{ {{{headers}}}, {json.dumps(str(file))} }}"
