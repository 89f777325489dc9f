# SPDX-License-Identifier: Apache-2.0
"""The running product as the tests of peers' failures see it: asked, hung up on, measured, attacked."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import psutil

from deploy.local.stack import LocalStack
from tests.e2e.busy import asked, numbers

INFER: Final = "/v2/models/busy/infer"


@dataclass(frozen=True, kw_only=True)
class Served:
    """The running product and a key of each tenant."""

    stack: LocalStack
    keys: dict[str, str]
    second: int  # loops of ``busy`` that take about a second here

    @property
    def url(self) -> str:
        return str(self.stack.inference_url)

    def loops(self, seconds: float) -> int:
        return int(self.second * seconds)

    def executed(self, model: str) -> float:
        """Rows that were executed of a model, by the service's own metric."""
        return sum(value for name, value in self.samples("furoshiki_batch_rows_sum") if f'model="{model}' in name)

    def executions(self, model: str) -> float:
        """Batches that were executed of a model."""
        return sum(value for name, value in self.samples("furoshiki_batch_rows_count") if f'model="{model}' in name)

    def samples(self, metric: str) -> list[tuple[str, float]]:
        time.sleep(1.2)  # counts are written to the scrape about once a second
        lines = httpx.get(f"{self.url}/metrics").text.splitlines()
        found = (line.rpartition(" ") for line in lines if line.startswith(metric + "{"))
        return [(name, float(value)) for name, _, value in found]

    def processes(self) -> list[psutil.Process]:
        """The processes of ``bentoml serve``, the supervisor first."""
        supervisor = psutil.Process(self.stack.pid("inference"))
        return [supervisor, *supervisor.children(recursive=True)]

    def workers(self) -> list[psutil.Process]:
        """Those that answer requests."""
        return [process for process in self.processes()[1:] if "_bentoml_impl.worker.service" in process.cmdline()]


class Caller:
    """Asks one tenant's models, many requests at a time, each over a connection of its own."""

    def __init__(self, served: Served, tenant: str) -> None:
        self.tenant = tenant
        self.http = httpx.AsyncClient(
            base_url=served.url,
            headers={"X-API-Key": served.keys[tenant]},
            timeout=60,
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=0),
        )

    def start(self, body: dict[str, Any], *, path: str = INFER, request_id: str = "") -> asyncio.Task[httpx.Response]:
        headers = {"X-Request-ID": request_id} if request_id else {}
        return asyncio.create_task(self.http.post(path, json=body, headers=headers))

    async def ask(self, body: dict[str, Any], *, path: str = INFER) -> httpx.Response:
        return await self.start(body, path=path)

    async def occupied(self, loops: int) -> asyncio.Task[httpx.Response]:
        """Makes the only instance of ``busy`` work for a while; returns once it does."""
        running = self.start(asked([0, 0], loops=loops))
        await asyncio.sleep(0.25)
        assert not running.done(), running.result().text
        return running


async def vanish(tasks: Sequence[asyncio.Task[httpx.Response]]) -> None:
    """Hangs up, and waits until the service has seen it."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.sleep(0.3)


def lines(served: Served) -> dict[str, dict[str, Any]]:
    """The access log of the inference service by request id."""
    found = (json.loads(line) for line in served.stack.log("inference").read_text().splitlines() if line[:1] == "{")
    return {line["request_id"]: line for line in found if line["event"] == "request"}


class Touch:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, tuple[str, ...]]:
        return os.mkdir, (str(self.file),)


def refuses_pickle(client: httpx.Client, headers: dict[str, str], trap: Path) -> None:
    """Sends pickles to every route there could be; none is accepted, none is read."""
    body = pickle.dumps(Touch(trap))
    routes = (INFER, "/v1/infer", "/v2/repository/index", "/predict", "/", "/infer", "/v2/models/busy", "/__call__")
    for path in routes:
        for kind in ("application/vnd.bentoml+pickle", "application/x-pickle", "application/octet-stream"):
            sent = {**headers, "Content-Type": kind, "Payload-Container": "default"}
            try:
                answer = client.post(path, content=body, headers=sent)
            except httpx.TransportError:
                continue  # hung up on, as by a socket that does not speak HTTP
            assert 400 <= answer.status_code < 500, (path, kind, answer.status_code)
    assert not trap.exists()


def is_runner(process: psutil.Process) -> bool:
    """Whether a process is the runner of a split server."""
    return any(part.endswith("furoshiki_runner") for part in process.cmdline())


def unix_sockets(supervisor: psutil.Process) -> set[str]:
    """The Unix sockets that the processes of a server listen on."""
    family = [supervisor, *supervisor.children(recursive=True)]
    found = {str(connection.laddr) for process in family for connection in process.net_connections(kind="unix")}
    return {path for path in found if path.startswith("/")}


def recovered(url: str, headers: dict[str, str], *, model: str = "busy") -> None:
    """Returns when the service is ready again; whenever it said so, an inference had to succeed."""
    deadline = time.monotonic() + 60
    good = 0
    while good < 5:
        assert time.monotonic() < deadline, "not ready again"
        try:
            said = httpx.get(f"{url}/v2/health/ready", timeout=2).status_code
        except httpx.TransportError:
            said = 0
        if said == 200:
            answer = httpx.post(f"{url}/v2/models/{model}/infer", json=asked([1, 2]), headers=headers, timeout=20)
            assert numbers(answer) == [2, 4]
            good += 1
        time.sleep(0.05)
