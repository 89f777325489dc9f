# SPDX-License-Identifier: Apache-2.0
"""The benchmark itself works: real servers, real load generators, right answers."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.stack import free_port
from loadtests.bench import results as module
from loadtests.bench.contenders import asking, others, ours
from loadtests.bench.contenders.memory import worker_memory
from loadtests.bench.contenders.runtime import grpc_echo, onnxruntime
from loadtests.bench.place import Place
from loadtests.bench.results import new_results, outcome
from loadtests.bench.runner import measure
from loadtests.bench.wire import BINARY_V2
from loadtests.bench.work import OURS, Goal, Work
from loadtests.servers import ServerFailed, running
from loadtests.wrk import Post, wrk

_BINARY = f"{OURS} binary"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with Place(tmp_path_factory.mktemp("bench")) as made:
        yield made


def test_one_short_round(place: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One second against each server gives samples without errors, and ratios between them."""
    monkeypatch.setattr(module, "FOLDER", tmp_path)
    work = Work(
        name="trial",
        title="trial",
        about="",
        level="connections",
        levels=(4,),
        contenders=(
            ours.over_http("mlp"),
            ours.over_http("mlp", wire=BINARY_V2, name=_BINARY),
            others.bentoml_batchable("mlp"),
            onnxruntime("mlp"),
        ),
        goals=(Goal(metric="per_second", at=4, against=("BentoML*",), least=1.0),),
    )
    results = new_results(rounds=1, seconds=1.0, quick=True, without=[])
    measure(results, [work], place, tell=lambda _: None)
    assert results.failures == []
    assert len(results.samples) == 4
    for sample in results.samples:
        assert sample.metrics["per_second"] > 0
        assert sample.metrics["errors"] == 0
        assert 0 < sample.metrics["p50_ms"] <= sample.metrics["p99_ms"]
    found = outcome(results, work, work.goals[0])
    assert found is not None
    assert found.value > 1
    lines = [json.loads(line) for line in place.log(OURS).read_text().splitlines() if '"event":"request"' in line]
    assert sum(line["status"] == 200 for line in lines) > results.samples[0].metrics["requests"]


def test_grpc_calls_are_counted(place: Place) -> None:
    """Both this service and the empty echo answer calls; an unknown method has no good answer, though HTTP says 200."""
    with ours.over_grpc("mlp").open(place) as meter:
        figures = meter(4, 1)
    assert figures["per_second"] > 0
    assert figures["errors"] == 0
    with grpc_echo("mlp").open(place) as meter:
        assert meter(1, 1)["errors"] == 0


def test_failed_grpc_calls_are_errors(place: Place) -> None:
    """h2load sees 200 for a call that failed; it is told by its missing message."""
    address = f"127.0.0.1:{free_port()}"
    command = [sys.executable, "-m", "loadtests.peers.grpc_echo", address.rpartition(":")[2], "10"]
    with running(command, environment={}, log=place.log("echo"), ready=f"tcp://{address}"):
        meter = asking.raw_grpc_meter(place, address, "/inference.Unknown/Method", b"", answer=10, headers={})
        with pytest.raises(ServerFailed, match="No good answer"):
            meter(1, 1)


def test_wrong_answers_are_refused(place: Place) -> None:
    """A server that computes something else is not measured."""
    subject = place.subject("mlp")
    with ours.service(place, "mlp") as service, pytest.raises(ServerFailed, match="answered 401"):
        asking.http_meter(place, subject, BINARY_V2, f"{service.url}/v2/models/mlp/infer")


def test_requests_are_taken_in_turn(place: Place, tmp_path: Path) -> None:
    """wrk sends several bodies, any bytes, with their own headers; those that are refused count as errors."""
    good = BINARY_V2.encode(place.subject("mlp").requests[0], "probabilities")
    bad = Post(headers=good.headers, body=b"\x00]]\n\xff")
    with ours.service(place, "mlp") as service:
        posts = [Post(headers={**post.headers, "X-API-Key": service.api_key}, body=post.body) for post in (good, bad)]
        url = f"{service.url}/v2/models/mlp/infer"
        figures = wrk(url, posts, connections=2, seconds=1, scratch=tmp_path)
    assert figures.requests > 2
    assert abs(figures.errors - figures.requests / 2) <= 2


def test_memory_is_read_from_the_worker(place: Place) -> None:
    """The worker's resident set is more than an interpreter's, and the slope is that of the requests asked for."""
    with worker_memory(small="mlp", large="mlp").open(place) as meter:
        figures = meter(2000, 1)
    assert figures["runtime_mb"] > 50
    assert figures["requests"] >= 2000
    assert abs(figures["gain_mb"]) < 100


def test_server_that_ends_is_reported(tmp_path: Path) -> None:
    """The reason is the end of its log."""
    command = [sys.executable, "-c", "print('out of luck')"]
    with (
        pytest.raises(ServerFailed, match="out of luck"),
        running(command, environment={}, log=tmp_path / "log", ready="tcp://127.0.0.1:1"),
    ):
        pass
