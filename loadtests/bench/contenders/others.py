# SPDX-License-Identifier: Apache-2.0
"""MLServer, LitServe, Ray Serve and plain BentoML with their own batching, as their documentation sets it up."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from deploy.local.stack import ROOT, free_port
from loadtests.bench.contenders.asking import grpc_meter, http_meter
from loadtests.bench.place import Place, python_of
from loadtests.bench.wire import JSON_V2, PLAIN
from loadtests.bench.work import Contender, Meter
from loadtests.servers import bentoml_command, running

_MLSERVER_BATCHING: Final = {"max_batch_size": 64, "max_batch_time": 0.001}  # rows, seconds


def mlserver_http(model: str, *, batching: bool = True) -> Contender:
    """MLServer over HTTP; without batching for requests of several shapes, as its batcher concatenates."""

    @contextmanager
    def opened(place: Place) -> Iterator[Meter]:
        with _mlserver(place, model, batching=batching) as (http, _):
            yield http_meter(place, place.subject(model), JSON_V2, f"http://{http}/v2/models/{model}/infer")

    return Contender(name="MLServer", open=opened, peer="mlserver")


def mlserver_grpc(model: str) -> Contender:
    """MLServer over gRPC."""

    @contextmanager
    def opened(place: Place) -> Iterator[Meter]:
        with _mlserver(place, model, batching=True) as (_, grpc):
            yield grpc_meter(place, place.subject(model), grpc, model=model)

    return Contender(name="MLServer", open=opened, peer="mlserver")


def litserve(model: str) -> Contender:
    """LitServe with its batching."""
    return _plain(
        model,
        name="LitServe",
        peer="litserve",
        command=[str(python_of("litserve")), "-m", "loadtests.peers.litserve_server"],
        ready="/health",
    )


def ray_serve(model: str) -> Contender:
    """Ray Serve with ``@serve.batch``."""
    return _plain(
        model,
        name="Ray Serve",
        peer="ray",
        command=[str(python_of("ray")), "-m", "loadtests.peers.ray_server"],
        ready="/-/healthz",
    )


def bentoml_batchable(model: str) -> Contender:
    """BentoML with ``batchable=True``."""
    return _plain(model, name="BentoML batchable", target="loadtests.peers.bentoml_services:Batchable", ready="/readyz")


def bentoml_plain(model: str) -> Contender:
    """BentoML without batching, which takes requests of several shapes."""
    return _plain(model, name="BentoML @api", target="loadtests.peers.bentoml_services:Plain", ready="/readyz")


def _plain(
    model: str,
    *,
    name: str,
    ready: str,
    peer: str | None = None,
    command: Sequence[str] = (),
    target: str = "",
) -> Contender:
    @contextmanager
    def opened(place: Place) -> Iterator[Meter]:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        with running(
            bentoml_command(target, port) if target else [*command, str(port)],
            environment=_environment(place, model),
            log=place.log(name),
            ready=url + ready,
        ):
            yield http_meter(place, place.subject(model), PLAIN, f"{url}/predict")

    return Contender(name=name, open=opened, peer=peer)


def _environment(place: Place, model: str) -> Mapping[str, str]:
    return {
        "MODEL": str(place.file(model)),
        "PYTHONPATH": str(ROOT),
        "RAY_TMPDIR": str(place.folder("ray")),
        "RAY_USAGE_STATS_ENABLED": "0",
    }


@contextmanager
def _mlserver(place: Place, model: str, *, batching: bool) -> Iterator[tuple[str, str]]:
    http, grpc = free_port(), free_port()
    folder = place.folder(f"mlserver-{model}")
    _write_mlserver(folder, model, http=http, grpc=grpc, batching=batching)
    with running(
        [str(python_of("mlserver").with_name("mlserver")), "start", str(folder)],
        environment=_environment(place, model),
        log=place.log("MLServer"),
        ready=f"http://127.0.0.1:{http}/v2/models/{model}/ready",
    ):
        yield f"127.0.0.1:{http}", f"127.0.0.1:{grpc}"


def _write_mlserver(folder: Path, model: str, *, http: int, grpc: int, batching: bool) -> None:
    settings = {
        "host": "127.0.0.1",
        "http_port": http,
        "grpc_port": grpc,
        "metrics_port": free_port(),
        "metrics_dir": str(folder),
        "debug": False,
        "parallel_workers": 0,  # faster here than its pool of processes
    }
    own = {
        "name": model,
        "implementation": "loadtests.peers.mlserver_runtime.OnnxRuntime",
        **(_MLSERVER_BATCHING if batching else {}),
    }
    (folder / "settings.json").write_text(json.dumps(settings))
    (folder / "model-settings.json").write_text(json.dumps(own))
