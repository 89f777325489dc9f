# SPDX-License-Identifier: Apache-2.0
"""Topology ``split`` under ``bentoml serve``: several API workers, one runner, one copy of the model."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from onnx import helper, numpy_helper
from prometheus_client.parser import text_string_to_metric_families

from artifacts.testing import make_bundle
from core.tensors import ANY, DType, Signature, TensorSpec
from deploy.local.stack import ROOT, LocalStack, free_port
from deploy.local.train import Trained
from furoshiki import Client
from tests.served import staged

WIDTH = 3072  # of the square matrix the model multiplies with: 36 MiB of weights, about a millisecond
WEIGHTS = WIDTH * WIDTH * 4
ROW = np.arange(WIDTH, dtype=np.float32)[None] / WIDTH
WORKER = "_bentoml_impl.worker.service"
RUNNER = "furoshiki_runner"


def model() -> bytes:
    """``y = 2 x`` by a matrix, so that there are weights to be counted."""
    x, y = (helper.make_tensor_value_info(name, 1, ["batch", WIDTH]) for name in "xy")
    weights = numpy_helper.from_array(2 * np.eye(WIDTH, dtype=np.float32), "w")
    graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "doubling", [x], [y], [weights])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return bytes(made.SerializeToString())


def signed(folder: Path, *, tamper: bool = False) -> dict[str, str]:
    """Writes a signed bundle below ``folder``; the environment that serves it with two API workers."""
    x, y = (TensorSpec(name=name, dtype=DType.FP32, shape=(ANY, WIDTH)) for name in "xy")
    bundle = make_bundle({"model.onnx": model()}, signature=Signature(inputs=(x,), outputs=(y,)))
    environment = staged(bundle, folder)
    if tamper:
        content = bytearray((folder / "model" / "model.onnx").read_bytes())
        content[-1] ^= 1
        (folder / "model" / "model.onnx").write_bytes(content)
    return environment | {"FUROSHIKI_HTTP__WORKERS": "2", "FUROSHIKI_SPLIT__SILENCE_S": "1"}


@dataclass(kw_only=True)
class Server:
    """A running ``bentoml serve``."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path
    home: Path

    def family(self) -> list[psutil.Process]:
        """The supervisor and everything it started."""
        parent = psutil.Process(self.process.pid)
        return [parent, *parent.children(recursive=True)]

    def workers(self, name: str) -> list[psutil.Process]:
        """The processes that serve one of the two services."""
        found = []
        for process in self.family()[1:]:
            with suppress(psutil.Error):
                command = process.cmdline()
                if WORKER in command and command[command.index("--service-name") + 1] == name:
                    found.append(process)
        return found

    def runner(self) -> psutil.Process:
        (only,) = self.workers(RUNNER)
        return only

    def ready(self) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(self.url + "/v2/health/ready").status_code == 200
        return False


@contextmanager
def serving(
    folder: Path, environment: Mapping[str, str], target: str = "services.inference.service:Inference"
) -> Iterator[Server]:
    """Starts a server and ends it with everything it started, however the test ends."""
    port, log = free_port(), folder / "log"
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("FUROSHIKI_")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "bentoml", "serve", target, "--host", "127.0.0.1", "--port", str(port)],
            cwd=ROOT,
            env=inherited | {"BENTOML_DO_NOT_TRACK": "True", **environment},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    home = Path(environment["BENTOML_HOME"])
    running = Server(process=process, url=f"http://127.0.0.1:{port}", log=log, home=home)
    members = []
    try:
        yield running
        members = running.family() if process.poll() is None else []
    finally:
        with suppress(psutil.NoSuchProcess):
            members = members or running.family()
        for member in members:
            with suppress(psutil.NoSuchProcess):
                member.kill()
        process.wait()


def until(condition: Callable[[], bool], server: Server, *, within: float = 60.0) -> None:
    """Returns once the condition holds."""
    deadline = time.monotonic() + within
    while not condition():
        if time.monotonic() > deadline:
            pytest.fail(f"not within {within} s:\n{server.log.read_text()[-4000:]}")
        time.sleep(0.05)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the tests of this file; a test that ends its runner leaves it ready again."""
    folder = tmp_path_factory.mktemp("split")
    with serving(folder, signed(folder)) as running:
        until(running.ready, running)
        yield running


def body() -> bytes:
    """One row, in binary."""
    header = b'{"inputs":[{"name":"x","shape":[1,%d],"datatype":"FP32","parameters":{"binary_data_size":%d}}]}'
    return header % (WIDTH, ROW.nbytes) + ROW.tobytes()


HEADERS = {"Inference-Header-Content-Length": str(len(body()) - ROW.nbytes)}


async def load(
    server: Server, *, connections: int, seconds: float, answers: list[tuple[int, float]] | None = None
) -> list[tuple[int, float]]:
    """Asks on many connections for a while; status (0: none) and seconds of each answer, also in ``answers`` as they come."""
    answers = [] if answers is None else answers
    end = time.monotonic() + seconds
    content = body()

    async def one() -> None:
        async with httpx.AsyncClient(timeout=30) as client:
            while time.monotonic() < end:
                started = time.monotonic()
                try:
                    answer = await client.post(server.url + "/v2/models/digits/infer", content=content, headers=HEADERS)
                    status = answer.status_code
                except httpx.TransportError:
                    status = 0
                answers.append((status, time.monotonic() - started))

    await asyncio.gather(*(one() for _ in range(connections)))
    return answers


def metric(server: Server, name: str) -> float:
    """The sum over all labels of one sample."""
    text = httpx.get(server.url + "/metrics").text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    )


def test_one_copy_of_the_model(server: Server) -> None:
    """Two API workers and one runner: only the runner has the runtime and the weights in its memory."""
    workers, runner = server.workers("furoshiki"), server.runner()
    assert len(workers) == 2
    mapped = {process.pid: Path(f"/proc/{process.pid}/maps").read_text() for process in [*workers, runner]}
    assert ["onnxruntime" in mapped[process.pid] for process in workers] == [False, False]
    assert "onnxruntime" in mapped[runner.pid]
    most = max(process.memory_info().rss for process in workers)
    assert runner.memory_info().rss > most + WEIGHTS // 2


def test_batches_form_across_workers(server: Server) -> None:
    """Requests that both workers take run in common batches, which the one metrics page shows."""
    answers = asyncio.run(load(server, connections=24, seconds=4))
    assert {status for status, _ in answers} == {200}
    until(lambda: metric(server, "furoshiki_batch_rows_sum") >= len(answers), server)
    rows, batches = metric(server, "furoshiki_batch_rows_sum"), metric(server, "furoshiki_batch_rows_count")
    assert rows >= len(answers)
    assert batches < rows, "no two requests shared a batch"
    multiproc = server.home / "prometheus_multiproc_dir"

    def counts(process: psutil.Process, kind: str, name: bytes) -> bool:
        file = multiproc / f"{kind}_{process.pid}.db"
        return file.exists() and name in file.read_bytes()

    workers, runner = server.workers("furoshiki"), server.runner()

    def all_served() -> bool:
        """Whichever worker wakes first takes every connection that waits, so new ones come until each had some."""
        asyncio.run(load(server, connections=24, seconds=0.2))
        return all(counts(worker, "counter", b"furoshiki_inference_requests") for worker in workers)

    until(all_served, server)
    assert [counts(worker, "histogram", b"furoshiki_batch_rows") for worker in workers] == [False, False]
    assert counts(runner, "histogram", b"furoshiki_batch_rows")


def test_the_runners_socket_is_private(server: Server) -> None:
    """The runner listens on its own socket of mode 0600, in a folder of mode 0700 that is this server's alone."""
    paths = {Path(path) for process in server.family() for path in listening(process)[1]}
    (own,) = [path for path in paths if path.name == "furoshiki-runner.sock"]
    assert stat.S_IMODE(own.stat().st_mode) == 0o600
    assert stat.S_IMODE(own.parent.stat().st_mode) == 0o700


def listening(process: psutil.Process) -> tuple[set[int], set[str]]:
    """Ports and socket files a process listens on."""
    connections = process.net_connections("all")
    ports = {c.laddr.port for c in connections if c.status == psutil.CONN_LISTEN and c.family != socket.AF_UNIX}
    files = {str(c.laddr) for c in connections if c.family == socket.AF_UNIX and c.laddr}
    return ports, files


class Canary:
    """Touches a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self.path),)


def ask(family: int, address: tuple[str, int] | str, request: bytes) -> bytes:
    """What a socket answers to one HTTP request; empty if nothing that came within a second."""
    answer = b""
    with socket.socket(family) as connection, suppress(OSError):
        connection.settimeout(1)
        connection.connect(address)
        connection.sendall(request)
        while part := connection.recv(65536):
            answer += part
    return answer


def test_pickle_is_refused_everywhere(server: Server, tmp_path: Path) -> None:
    """No port and no socket of any process takes application/vnd.bentoml+pickle, on any route; nothing is unpickled."""
    canary = tmp_path / "unpickled"
    content = pickle.dumps(Canary(canary))
    places = [listening(process) for process in server.family()]
    ports, files = set[int]().union(*(p for p, _ in places)), set[str]().union(*(f for _, f in places))
    assert int(server.url.rpartition(":")[2]) in ports
    assert sum(path.endswith(".sock") for path in files) >= 2
    open_to: list[tuple[int, tuple[str, int] | str]] = [(socket.AF_INET, ("127.0.0.1", port)) for port in ports]
    open_to += [(socket.AF_UNIX, path) for path in files if path.endswith(".sock")]
    for route in ("/", "/predict", "/infer", "/v1/infer", "/v2/models/digits/infer", "/__call__", "/run"):
        request = (
            f"POST {route} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nPayload-Container: single\r\n"
            f"Content-Type: application/vnd.bentoml+pickle\r\nContent-Length: {len(content)}\r\n\r\n"
        ).encode() + content
        for family, address in list(open_to):
            answer = ask(family, address, request)
            if not answer.startswith(b"HTTP/1.1 "):
                open_to.remove((family, address))  # our own frames, or the supervisor's control port
                continue
            assert 400 <= int(answer.split()[1]) < 500, answer[:300]
    assert len(open_to) == 2, "the API, and BentoML's own socket of the runner"
    assert not canary.exists()


def test_a_killed_runner(server: Server) -> None:
    """kill -9 under load: fast retryable errors, readiness tells the truth, and BentoML brings the runner back."""
    victim = server.runner()

    async def kill() -> list[tuple[int, float]]:
        seen: list[tuple[int, float]] = []
        asking = asyncio.ensure_future(load(server, connections=8, seconds=5, answers=seen))
        async with asyncio.timeout(4):
            while sum(status == 200 for status, _ in seen) < 20:
                await asyncio.sleep(0.05)
        victim.kill()
        await asyncio.sleep(0.3)
        async with httpx.AsyncClient() as client:
            ready = await client.get(server.url + "/v2/health/ready")
            model_ready = await client.get(server.url + "/v2/models/digits/ready")
            refused = await client.post(server.url + "/v2/models/digits/infer", content=body(), headers=HEADERS)
        assert (ready.status_code, model_ready.status_code, refused.status_code) == (503, 503, 503)
        assert (refused.headers["x-furoshiki-error"], refused.headers["retry-after"]) == ("MODEL_002", "1")
        return await asking

    answers = asyncio.run(kill())
    assert {status for status, _ in answers} == {200, 503}
    assert max(seconds for status, seconds in answers if status == 503) < 3
    until(server.ready, server)
    assert server.runner().pid != victim.pid
    answer = httpx.post(server.url + "/v2/models/digits/infer", content=body(), headers=HEADERS)
    values = np.array(answer.json()["outputs"][0]["data"], np.float32)
    np.testing.assert_allclose(values, 2 * ROW[0], rtol=1e-5)


def test_a_stopped_runner(server: Server) -> None:
    """SIGSTOP: not ready within a few heartbeats, requests do not hang; SIGCONT: ready again without a restart."""
    runner = server.runner()
    runner.send_signal(signal.SIGSTOP)
    try:
        until(lambda: not server.ready(), server, within=10)
        started = time.monotonic()
        answer = httpx.post(server.url + "/v2/models/digits/infer", content=body(), headers=HEADERS)
        assert answer.status_code == 503
        assert time.monotonic() - started < 4
    finally:
        runner.send_signal(signal.SIGCONT)
    until(server.ready, server, within=10)
    assert server.runner().pid == runner.pid


def test_a_stop_loses_nothing(tmp_path: Path) -> None:
    """SIGTERM under load: what was accepted is answered, the runner outlives its workers, and everything ends."""
    with serving(tmp_path, signed(tmp_path)) as running:
        until(running.ready, running)

        async def stop() -> list[tuple[int, float]]:
            asking = asyncio.ensure_future(load(running, connections=8, seconds=2))
            await asyncio.sleep(1)
            running.process.terminate()
            return await asking

        members = running.family()
        answers = asyncio.run(stop())
        assert {status for status, _ in answers} <= {200, 0}  # 0: no longer accepted
        _, alive = psutil.wait_procs(members, timeout=20)
        assert alive == []


def survivors(members: list[psutil.Process], *, within: float) -> list[psutil.Process]:
    """Those that do not end by themselves in so many seconds; they are ended."""
    _, alive = psutil.wait_procs(members, timeout=within)
    for each in alive:
        with suppress(psutil.NoSuchProcess):
            each.kill()
    return alive


def test_a_killed_supervisor_leaves_nobody(tmp_path: Path) -> None:
    """kill -9 of the supervisor: API workers and runner end as well."""
    with serving(tmp_path, signed(tmp_path)) as running:
        until(running.ready, running)
        members = running.family()
        running.process.kill()
        assert survivors(members, within=30) == []


def test_a_supervisor_killed_before_its_workers_started_leaves_nobody(tmp_path: Path) -> None:
    """kill -9 while API workers and runner still import what they are made of: they end instead of starting."""
    with serving(tmp_path, signed(tmp_path)) as running:
        until(lambda: len(running.workers("furoshiki")) == 2 and len(running.workers(RUNNER)) == 1, running)
        members = running.family()
        running.process.kill()
        assert survivors(members, within=60) == []


def test_a_tampered_bundle_ends_the_server(tmp_path: Path) -> None:
    """The runner verifies what it loads; when it refuses, the whole server ends and names the code."""
    with serving(tmp_path, signed(tmp_path, tamper=True)) as running:
        running.process.wait(timeout=60)
        assert "SIGN_004" in running.log.read_text()


def test_a_built_bento(stack: LocalStack, admin: Client, pushed: Trained, tmp_path: Path) -> None:
    """A Bento built without a thought of topologies serves split with two workers."""
    build = admin.builds.wait(admin.builds.create("digits", version=1).id)
    environment = {
        "BENTOML_HOME": str(stack.home / "bentoml"),
        "FUROSHIKI_AUTH__MODE": "open",
        "FUROSHIKI_HTTP__WORKERS": "2",
    }
    with serving(tmp_path, environment, str(build.tag)) as running:
        until(running.ready, running)
        assert (len(running.workers("furoshiki")), len(running.workers(RUNNER))) == (2, 1)
        asked = {"model": "digits", "inputs": {"X": pushed.inputs[:4].tolist()}}
        answer = httpx.post(running.url + "/v1/infer", json=asked)
        assert answer.status_code == 200, answer.text
        np.testing.assert_array_equal(answer.json()["outputs"]["label"], pushed.predicted[:4])
