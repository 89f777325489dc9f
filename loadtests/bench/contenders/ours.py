# SPDX-License-Identifier: Apache-2.0
"""This service as it is meant to be run: API keys asked of a registry, quota, metrics, request ids and access log on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import httpx

from deploy.local.stack import free_port
from loadtests.bench.contenders.asking import grpc_meter, http_meter
from loadtests.bench.place import Place
from loadtests.bench.wire import JSON_V2, Wire
from loadtests.bench.work import OURS, Contender, Meter
from loadtests.servers import ServerFailed, bentoml_command, running

TARGET = "services.inference.service:Inference"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A running service."""

    url: str
    grpc: str  # host:port
    api_key: str
    pid: int  # of BentoML's supervisor


def over_http(
    model: str, *, wire: Wire = JSON_V2, name: str = OURS, settings: Mapping[str, str] | None = None
) -> Contender:
    """The service over HTTP, with default settings unless others are given."""

    @contextmanager
    def opened(place: Place) -> Iterator[Meter]:
        with service(place, model, name=name, settings=settings) as ours:
            url = f"{ours.url}/v2/models/{model}/infer"
            yield http_meter(place, place.subject(model), wire, url, headers={"X-API-Key": ours.api_key})

    return Contender(name=name, open=opened)


def over_grpc(model: str, *, name: str = OURS) -> Contender:
    """The service over gRPC."""

    @contextmanager
    def opened(place: Place) -> Iterator[Meter]:
        with service(place, model, name=name) as ours:
            yield grpc_meter(place, place.subject(model), ours.grpc, model=model, headers={"x-api-key": ours.api_key})

    return Contender(name=name, open=opened)


@contextmanager
def service(
    place: Place, model: str, *, name: str = OURS, settings: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """Serves a model's signed bundle."""
    published = place.published(model)
    port, grpc_port = free_port(), free_port()
    environment = {
        "FUROSHIKI_SOURCE": "bundle",
        "FUROSHIKI_BUNDLE__PATH": str(published.bundle),
        "FUROSHIKI_TRUST__DIR": str(published.trust),
        "FUROSHIKI_AUTH__MODE": "api_key",
        "FUROSHIKI_REGISTRY__URL": published.registry,
        "FUROSHIKI_REGISTRY__API_KEY_FILE": str(published.service_key),
        "FUROSHIKI_QUOTA__REQUESTS_PER_SECOND": "1000000",  # counted, never reached
        "FUROSHIKI_QUOTA__CONCURRENT_REQUESTS": "10000",
        "FUROSHIKI_GRPC__PORT": str(grpc_port),
        **(settings or {}),
    }
    url = f"http://127.0.0.1:{port}"
    with running(
        bentoml_command(TARGET, port), environment=environment, log=place.log(name), ready=f"{url}/v2/health/ready"
    ) as process:
        _prove(f"{url}/v2/models/{model}", published.api_key)
        yield Service(url=url, grpc=f"127.0.0.1:{grpc_port}", api_key=published.api_key, pid=process.pid)


def _prove(url: str, api_key: str) -> None:
    """What the comparison claims: nobody gets in without a key, and every answer has a request id.

    Raises:
        ServerFailed: If it is not so.
    """
    with httpx.Client(trust_env=False) as client:
        stranger, caller = client.get(url), client.get(url, headers={"X-API-Key": api_key})
    statuses = (stranger.status_code, caller.status_code)
    if statuses != (httpx.codes.UNAUTHORIZED, httpx.codes.OK) or not caller.headers.get("X-Request-ID"):
        raise ServerFailed(f"{url} answered {statuses} without and with a key; expected 401 and 200 with a request id.")
