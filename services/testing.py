# SPDX-License-Identifier: Apache-2.0
"""A whole inference application around a fake runner, in this process; for tests of edges and clients."""

from __future__ import annotations

import io
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from uvicorn import Config, Server

from artifacts.coordination.alone import Alone
from core.clock import Clock, SystemClock
from core.deprecation import Notice
from runners.batching.policy import BatchLimits
from runners.cache import LoadedModel
from runners.handle import EmbeddedHandle
from runners.interface import Runner, RunnerOptions
from services.dataplane.catalog.bundle import BundleCatalog
from services.dataplane.gate import Gate
from services.dataplane.infer import DataPlane
from services.edge.access_log import AccessLog
from services.edge.auth import Authenticator, OpenAuth
from services.edge.http import Receive, Scope, Send
from services.edge.limits import EdgeLimits
from services.front.shared import STATE, Front
from services.inference.app import InferenceApp, Parts, service_of
from services.inference.coordination import Coordination
from services.rest_v1.routes import RestV1
from services.rest_v2.codec import NO_REGIONS
from services.rest_v2.routes import RestV2
from services.shared_memory.regions import Regions

TENANT, MODEL, VERSION = "acme", "fake", "3"
DIGEST = "sha256:" + "ab" * 32


async def inner_app(scope: Scope, _receive: Receive, send: Send) -> None:
    """Stands where BentoML's application stands: answers 418 to everything, so that tests see what is passed on."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def loaded(
    runner: Runner, *, tenant: str = TENANT, model: str = MODEL, version: str = VERSION, notice: Notice | None = None
) -> LoadedModel:
    """A model as the loader would leave it, around any runner."""
    handle = EmbeddedHandle(
        runner,
        limits=BatchLimits(inline_below_s=0),
        options=RunnerOptions(),
        label=f"{tenant}/{model}@{version}",
    )
    return LoadedModel(
        tenant=tenant,
        model=model,
        version=version,
        digest=DIGEST,
        key_id="cd" * 32,
        size=1,
        handle=handle,
        output_dtypes={spec.name: spec.dtype for spec in runner.signature.outputs},
        notice=notice,
    )


def parts(
    runner: Runner,
    *,
    authenticator: Authenticator | None = None,
    limits: EdgeLimits | None = None,
    clock: Clock | None = None,
    log: io.BytesIO | None = None,
    metrics_open: bool = False,
    regions: Regions = NO_REGIONS,
    control: bool = False,
    notice: Notice | None = None,
) -> Parts:
    """The parts of a service that has ``runner`` as model ``fake`` version 3 of tenant ``acme``."""

    async def reload() -> LoadedModel:
        return loaded(runner)

    plane = DataPlane(BundleCatalog(loaded(runner, notice=notice), reload=reload), Gate(), control=control)
    bounds = limits or EdgeLimits()
    return Parts(
        plane=plane,
        authenticator=authenticator or OpenAuth(TENANT),
        edges=(RestV2(plane, limits=bounds, version="0", regions=regions), RestV1(plane, limits=bounds)),
        access_log=AccessLog(clock=clock or SystemClock(), stream=log or io.BytesIO()),
        limits=bounds,
        regions=regions,
        coordination=Coordination(turns=Alone()),
        metrics_open=metrics_open,
    )


@asynccontextmanager
async def serving(
    runner: Runner,
    *,
    authenticator: Authenticator | None = None,
    limits: EdgeLimits | None = None,
    clock: Clock | None = None,
    log: io.BytesIO | None = None,
    metrics_open: bool = False,
    peer: str = "127.0.0.1",
    regions: Regions = NO_REGIONS,
    control: bool = False,
) -> AsyncIterator[httpx.AsyncClient]:
    """Serves the :func:`parts` of ``runner`` in this process and yields a client."""
    made = parts(
        runner,
        authenticator=authenticator,
        limits=limits,
        clock=clock,
        log=log,
        metrics_open=metrics_open,
        regions=regions,
        control=control,
    )
    async with client_of(made, peer=peer) as client:
        yield client


@asynccontextmanager
async def client_of(made: Parts, *, peer: str = "127.0.0.1") -> AsyncIterator[httpx.AsyncClient]:
    """Serves parts in this process, yields a client, and closes them."""
    transport = httpx.ASGITransport(app=InferenceApp(inner_app, made), raise_app_exceptions=True, client=(peer, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        try:
            yield client
        finally:
            await made.plane.close()
            made.access_log.flush()


@asynccontextmanager
async def listening(made: Parts, *, keep_alive_s: float = 5) -> AsyncIterator[int]:
    """Serves parts on a loopback port, with the protocol a worker uses, and yields the port."""
    config = Config(
        InferenceApp(inner_app, made),
        http="services.front.protocol:FrontProtocol",
        log_config=None,
        server_header=False,
        timeout_keep_alive=keep_alive_s,  # type: ignore[arg-type]  # parts of a second work as well
        timeout_graceful_shutdown=1,
    )
    config.load()
    server = Server(config)
    server.lifespan = config.lifespan_class(config)
    server.lifespan.state[STATE] = Front(service_of(made))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        await server.startup([listener])
        try:
            yield listener.getsockname()[1]
        finally:
            await server.shutdown([listener])
            await made.plane.close()
            made.access_log.flush()
