# SPDX-License-Identifier: Apache-2.0
"""``bentoml serve`` of the inference service around one signed bundle, as an operator runs it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from onnx import TensorProto, helper

from artifacts.testing import Bundle, make_bundle
from core.tensors import ANY, DType, Signature, TensorSpec
from deploy.local.stack import ROOT, free_port
from tests.served import staged

ROWS = np.array([[1.5, 2], [3, -4]], dtype="<f4")
DOUBLED = (2 * ROWS).ravel().tolist()
INFER = "/v2/models/digits/infer"


def doubling() -> bytes:
    """``y = x + x`` as an ONNX file."""
    tensors = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", 2]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Add", ["x", "x"], ["y"])], "doubling", tensors[:1], tensors[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(model.SerializeToString())


def signed(folder: Path) -> tuple[Bundle, dict[str, str]]:
    """Writes a signed bundle and its trust policy below ``folder``; the environment that serves it in open mode."""
    x, y = (TensorSpec(name=name, dtype=DType.FP32, shape=(ANY, 2)) for name in "xy")
    bundle = make_bundle({"model.onnx": doubling()}, signature=Signature(inputs=(x,), outputs=(y,)))
    return bundle, staged(bundle, folder) | {"BENTOML_DO_NOT_TRACK": "True"}


@dataclass(kw_only=True)
class Server:
    """A running ``bentoml serve``."""

    process: subprocess.Popen[bytes]
    url: str
    stderr: Path
    bundle: Bundle

    def family(self) -> list[psutil.Process]:
        """The server and everything it started."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def events(self) -> list[dict[str, Any]]:
        """The JSON lines on stderr."""
        lines = self.stderr.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


@contextmanager
def serving(folder: Path, *, host: str = "127.0.0.1", tamper: bool = False) -> Iterator[Server]:
    """Starts a server and ends it with everything it started, however the test ends."""
    bundle, environment = signed(folder)
    if tamper:
        model = bytearray((folder / "model" / "model.onnx").read_bytes())
        model[20] ^= 1
        (folder / "model" / "model.onnx").write_bytes(model)
    port, stderr = free_port(), folder / "stderr"
    command = [sys.executable, "-m", "bentoml", "serve", "services.inference.service:Inference"]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FUROSHIKI_")}
    with stderr.open("wb") as log:
        process = subprocess.Popen(
            [*command, "--host", host, "--port", str(port)],
            cwd=ROOT,
            env=inherited | environment,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
        )
    running = Server(process=process, url=f"http://127.0.0.1:{port}", stderr=stderr, bundle=bundle)
    try:
        yield running
    finally:
        if process.poll() is None:
            for member in running.family():
                with suppress(psutil.NoSuchProcess):
                    member.kill()
        process.wait()


def until_ready(server: Server) -> None:
    """Returns when the service says it is ready."""
    deadline = time.monotonic() + 40
    while time.monotonic() < deadline and server.process.poll() is None:
        try:
            if httpx.get(server.url + "/v2/health/ready").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    pytest.fail(f"not ready:\n{server.stderr.read_text()[-3000:]}")


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the tests that only ask."""
    with serving(tmp_path_factory.mktemp("served")) as running:
        until_ready(running)
        yield running


def infer(server: Server, **headers: str) -> httpx.Response:
    """One JSON inference."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [2, 2], "data": ROWS.ravel().tolist()}
    return httpx.post(server.url + INFER, json={"inputs": [tensor]}, headers=headers)


def test_json_inference(server: Server) -> None:
    """The result, the verified digest and the request id."""
    response = infer(server, **{"X-Request-ID": "it-json"})
    assert response.json()["outputs"] == [{"name": "y", "datatype": "FP32", "shape": [2, 2], "data": DOUBLED}]
    assert response.headers["x-furoshiki-model-digest"] == server.bundle.manifest.digest
    assert response.headers["x-request-id"] == "it-json"


def test_binary_inference(server: Server) -> None:
    """Binary in, binary out."""
    tensor = {"name": "x", "datatype": "FP32", "shape": [2, 2], "parameters": {"binary_data_size": ROWS.nbytes}}
    head = json.dumps({"inputs": [tensor], "parameters": {"binary_data_output": True}}).encode()
    response = httpx.post(
        server.url + INFER,
        content=head + ROWS.tobytes(),
        headers={"Inference-Header-Content-Length": str(len(head))},
    )
    size = int(response.headers["inference-header-content-length"])
    assert np.frombuffer(response.content[size:], "<f4").tolist() == DOUBLED


def test_short_form(server: Server) -> None:
    """``/v1/infer`` answers nested lists."""
    answer = httpx.post(server.url + "/v1/infer", json={"model": "digits", "inputs": {"x": ROWS.tolist()}}).json()
    assert answer["outputs"]["y"] == (2 * ROWS).tolist()
    assert (answer["version"], answer["digest"]) == ("3", server.bundle.manifest.digest)


def test_bentomls_own_routes_still_answer(server: Server) -> None:
    """What no edge owns is BentoML's: liveness and the API description."""
    for path in ("/livez", "/docs.json"):
        assert httpx.get(server.url + path).status_code == 200, path


def test_metrics_carry_the_digest(server: Server) -> None:
    """The product's metrics stand beside BentoML's in one scrape, with the verified digest as a label."""
    infer(server)
    wanted = 'furoshiki_inference_requests_total{code="ok",model="digits",protocol="rest_v2",tenant="acme",version="3"}'
    deadline = time.monotonic() + 10
    while wanted not in (text := httpx.get(server.url + "/metrics").text):
        assert time.monotonic() < deadline, text
        time.sleep(0.1)
    info = next(line for line in text.splitlines() if line.startswith("furoshiki_model_info{"))
    assert f'digest="{server.bundle.manifest.digest}"' in info
    assert f'key_id="{server.bundle.signer.key_id}"' in info
    assert "furoshiki_batch_rows_bucket" in text


def test_the_access_log_names_the_request(server: Server) -> None:
    """Each request is one JSON line on stderr with its id, status and code."""
    infer(server, **{"X-Request-ID": "it-log"})
    deadline = time.monotonic() + 10
    while not (found := [e for e in server.events() if e.get("request_id") == "it-log"]):
        assert time.monotonic() < deadline, server.stderr.read_text()
        time.sleep(0.05)
    (line,) = found
    assert (line["event"], line["tenant"], line["path"], line["status"], line["code"]) == (
        "request",
        "acme",
        INFER,
        200,
        "ok",
    )
    loaded = next(event for event in server.events() if event["event"] == "model_loaded")
    assert (loaded["digest"], loaded["model"]) == (server.bundle.manifest.digest, "acme/digits@3")


def test_a_slow_client_that_goes_away_leaves_no_trouble(server: Server) -> None:
    """A connection cut inside a body is logged as such and the service answers on."""
    host, port = server.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        head = f"POST {INFER} HTTP/1.1\r\nHost: x\r\nX-Request-ID: it-cut\r\nContent-Length: 1000\r\n\r\n"
        connection.sendall(head.encode() + b'{"inputs": [')
    deadline = time.monotonic() + 10
    while not (found := [e for e in server.events() if e.get("request_id") == "it-cut"]):
        assert time.monotonic() < deadline, server.stderr.read_text()
        time.sleep(0.05)
    assert (found[0]["status"], found[0]["code"]) == (499, "CANCEL_001")
    assert infer(server).status_code == 200
    assert "Traceback" not in server.stderr.read_text()


def test_sigterm_ends_the_server(tmp_path: Path) -> None:
    """After SIGTERM the server and its workers end by themselves within seconds, without a traceback."""
    with serving(tmp_path) as server:
        until_ready(server)
        family = server.family()
        assert infer(server).status_code == 200
        server.process.send_signal(signal.SIGTERM)
        assert server.process.wait(15) == 0
        _, alive = psutil.wait_procs(family, timeout=5)
        assert alive == []
        assert "Traceback" not in server.stderr.read_text()


def refuses_to_start(server: Server) -> str:
    """Waits until the server has ended by itself and nothing of it is left; what it said."""
    try:
        server.process.wait(40)
    except subprocess.TimeoutExpired:
        pytest.fail(f"still running:\n{server.stderr.read_text()[-3000:]}")
    with pytest.raises(httpx.TransportError):
        httpx.get(server.url + "/v2")
    return server.stderr.read_text()


def test_an_open_service_does_not_listen_to_the_world(tmp_path: Path) -> None:
    """Open mode with ``--host 0.0.0.0`` ends the whole server and says why."""
    with serving(tmp_path, host="0.0.0.0") as server:
        told = refuses_to_start(server)
        assert "start_refused" in told
        assert "INIT_001" in told
        assert "FUROSHIKI_AUTH__MODE" in told


def test_a_tampered_bundle_is_never_served(tmp_path: Path) -> None:
    """One flipped byte of the model: the server ends by itself and names SIGN_004 and the file."""
    with serving(tmp_path, tamper=True) as server:
        told = refuses_to_start(server)
        assert "SIGN_004" in told
        assert "model.onnx" in told


def test_a_killed_server_leaves_no_worker(tmp_path: Path) -> None:
    """After SIGKILL of the server its workers end by themselves, and the port is free."""
    with serving(tmp_path) as server:
        until_ready(server)
        family = server.family()
        server.process.kill()
        gone, alive = psutil.wait_procs(family[1:], timeout=20)
    assert (len(gone) >= 1, alive) == (True, [])
    with pytest.raises(httpx.TransportError):
        httpx.get(server.url + "/v2/health/live")
