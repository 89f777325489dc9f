# SPDX-License-Identifier: Apache-2.0
"""``FUROSHIKI_ISOLATION__MODE=process`` under ``bentoml serve``: the model's process comes, goes and comes again."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import httpx
import numpy as np
import psutil
import pytest

from tests.e2e.test_split import HEADERS, ROW, WEIGHTS, Server, body, metric, serving, signed, until

MODEL = "/v2/models/digits"


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("isolation")
    environment = signed(folder) | {"FUROSHIKI_HTTP__WORKERS": "1", "FUROSHIKI_ISOLATION__MODE": "process"}
    environment["FUROSHIKI_REPOSITORY__CONTROL"] = "true"
    with serving(folder, environment) as running:
        until(running.ready, running)
        yield running


def processes(server: Server) -> list[psutil.Process]:
    """Those of models."""
    return [process for process in server.family()[1:] if process.cmdline()[-1:] == ["acme/digits@3"]]


def loads_runtime(process: psutil.Process) -> bool:
    return any("onnxruntime" in mapped.path for mapped in process.memory_maps())


def ask(server: Server) -> httpx.Response:
    return httpx.post(server.url + MODEL + "/infer", content=body(), headers=HEADERS)


@pytest.mark.fault("the process of a served model is killed, then its service")
def test_a_service_with_an_isolated_model(server: Server) -> None:
    """Answers, metrics, readiness after kill -9 of the model, unload and load; nothing is left of a killed server."""
    answer = ask(server)
    assert np.allclose(answer.json()["outputs"][0]["data"], 2 * ROW[0], rtol=1e-5)
    assert answer.headers["X-Furoshiki-Model-Digest"].startswith("sha256:")
    (first,) = processes(server)
    (worker,) = server.workers("furoshiki")
    assert loads_runtime(first)
    assert not loads_runtime(worker)
    until(lambda: metric(server, "furoshiki_model_process_bytes") > WEIGHTS, server)

    first.kill()
    until(lambda: not server.ready(), server, within=5)
    refused = ask(server)
    assert (refused.status_code, refused.headers["X-Furoshiki-Error"]) == (503, "MODEL_002")
    assert int(refused.headers["Retry-After"]) >= 1
    until(server.ready, server)
    assert ask(server).status_code == 200
    until(lambda: metric(server, "furoshiki_model_process_restarts_total") == 1, server)

    assert httpx.post(server.url + "/v2/repository/models/digits/unload").status_code == 200
    assert processes(server) == []
    until(lambda: metric(server, "furoshiki_model_process_bytes") == 0, server)
    assert httpx.post(server.url + "/v2/repository/models/digits/load").status_code == 200
    (last,) = processes(server)
    assert ask(server).status_code == 200

    family = server.family()
    server.process.send_signal(signal.SIGKILL)
    _, alive = psutil.wait_procs(family, timeout=15)
    assert alive == []
    assert not last.is_running()
