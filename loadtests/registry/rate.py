# SPDX-License-Identifier: Apache-2.0
"""How many authenticated resolves one worker of the registry answers over HTTP in a second."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

from deploy.local.components.postgres import PostgresDatabase
from deploy.local.stack import free_port
from loadtests.servers import running

CONNECTIONS: Final = 16
_SCRIPT: Final = """
local models, turn = {models}, 0
request = function()
  turn = turn % models + 1
  local number = turn % 10 == 0 and turn - 1 or turn
  return wrk.format("GET", "/api/v1/models/model-" .. number .. "/resolve", {{["X-API-Key"] = "{key}"}})
end
"""


class WrongAnswers(Exception):
    """A request was answered with something else than 200."""


def resolves_per_second(database: PostgresDatabase, home: Path, *, models: int, seconds: int) -> tuple[float, float]:
    """Starts ``python -m registry_api serve`` on the database and loads it; good answers per second, and p99 in ms.

    Raises:
        WrongAnswers: If any answer was not 200.
    """
    port = free_port()
    environment = {
        "FUROSHIKI_HOME": str(home),
        "FUROSHIKI_HTTP__PORT": str(port),
        "FUROSHIKI_LOG__LEVEL": "WARNING",
        "FUROSHIKI_DATABASE__URL": database.url,
        "FUROSHIKI_DATABASE__OWNER_URL": database.owner_url,
    }
    command = [sys.executable, "-m", "registry_api", "serve"]
    url = f"http://127.0.0.1:{port}"
    script = home / "resolve.lua"
    with running(command, environment=environment, log=home / "registry.log", ready=f"{url}/readyz"):
        script.write_text(_SCRIPT.format(models=models, key=(home / "admin.key").read_text().strip()))
        for length in (2, seconds):  # the first warms up
            load = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{length}s", "--latency", "-s", str(script), url]
            output = subprocess.run(load, check=True, capture_output=True, text=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise WrongAnswers(output)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", output)
    slowest = re.search(r"99%\s+([\d.]+)(us|ms|s)", output)
    assert rate is not None
    assert slowest is not None
    return float(rate[1]), float(slowest[1]) * {"us": 1e-3, "ms": 1.0, "s": 1e3}[slowest[2]]
