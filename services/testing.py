# SPDX-License-Identifier: Apache-2.0
"""A whole inference application around a fake runner, in this process; for tests of edges and clients."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from core.clock import Clock, SystemClock
from runners.batching.policy import BatchLimits
from runners.cache import LoadedModel
from runners.handle import EmbeddedHandle
from runners.interface import Runner, RunnerOptions
from services.dataplane.catalog.bundle import BundleCatalog
from services.dataplane.infer import DataPlane
from services.edge.access_log import AccessLog
from services.edge.auth import Authenticator, OpenAuth
from services.edge.http import Receive, Scope, Send
from services.edge.limits import EdgeLimits
from services.inference.app import InferenceApp, Parts
from services.rest_v1.routes import RestV1
from services.rest_v2.routes import RestV2

TENANT, MODEL, VERSION = "acme", "fake", "3"
DIGEST = "sha256:" + "ab" * 32


async def inner_app(scope: Scope, _receive: Receive, send: Send) -> None:
    """Stands where BentoML's application stands: answers 418 to everything, so that tests see what is passed on."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 418, "headers": []})
        await send({"type": "http.response.body", "body": b""})


def loaded(runner: Runner, *, tenant: str = TENANT, model: str = MODEL, version: str = VERSION) -> LoadedModel:
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
) -> AsyncIterator[httpx.AsyncClient]:
    """Serves ``runner`` as model ``fake`` version 3 of tenant ``acme`` and yields a client of it."""
    plane = DataPlane(BundleCatalog(loaded(runner)))
    bounds = limits or EdgeLimits()
    access_log = AccessLog(clock=clock or SystemClock(), stream=log or io.BytesIO())
    parts = Parts(
        plane=plane,
        authenticator=authenticator or OpenAuth(TENANT),
        edges=(RestV2(plane, limits=bounds, version="0"), RestV1(plane, limits=bounds)),
        access_log=access_log,
        limits=bounds,
        metrics_open=metrics_open,
    )
    transport = httpx.ASGITransport(app=InferenceApp(inner_app, parts), raise_app_exceptions=True, client=(peer, 1))
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        try:
            yield client
        finally:
            await plane.close()
            access_log.flush()
