# SPDX-License-Identifier: Apache-2.0
"""The ASGI application of the inference service.

Paths under an edge's prefix are answered here; everything else (``/``, ``/docs.json``, ``/healthz``, ``/metrics``) goes to
the inner application, which is BentoML's. ``/metrics`` names every tenant and model, so only this machine gets it, unless it
was opened. Whatever happens, a request is answered once, with a request id, and an unknown exception shows the caller one
fixed sentence.
"""

from __future__ import annotations

import asyncio
import ipaddress
import time
from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import ErrorCode
from services.dataplane.infer import DataPlane
from services.dataplane.requestlog.delivery import Delivery
from services.dataplane.trust.watch import TrustWatch
from services.edge.access_log import AccessLog
from services.edge.auth import Authenticator
from services.edge.faults import shown
from services.edge.http import App, ClientGone, Exchange, Receive, Scope, Send, Shared
from services.edge.interface import Edge, no_route
from services.edge.limits import EdgeLimits
from services.edge.status import http_status
from services.front.call import Service
from services.inference.coordination import Coordination
from services.openapi.edge import OpenApi
from services.rest_v1.errors import problem
from services.shared_memory.regions import Regions


@dataclass(slots=True, kw_only=True)
class Parts:
    """What the application is made of."""

    plane: DataPlane
    authenticator: Authenticator
    edges: Sequence[Edge]
    access_log: AccessLog
    limits: EdgeLimits
    regions: Regions  # of shared memory
    coordination: Coordination
    request_log: Delivery | None = None  # None: no request is logged
    metrics_open: bool = False  # whether other machines may read /metrics
    watch: TrustWatch | None = None  # None: nobody looks for what was revoked


def service_of(parts: Parts) -> Service:
    """What the front answers with, on the running loop: the same parts as the application's."""
    return Service(
        plane=parts.plane,
        authenticator=parts.authenticator,
        access_log=parts.access_log,
        limits=parts.limits,
        regions=parts.regions,
        now=asyncio.get_running_loop().time,
    )


class InferenceApp:
    """Routes requests to the edges and the rest to the inner application.

    Args:
        inner: Answers what no edge owns.
        parts: Everything else.
    """

    def __init__(self, inner: App, parts: Parts) -> None:
        self._inner = inner
        self._parts = parts
        self._edges = {edge.prefix: edge for edge in parts.edges}
        self._document = OpenApi()
        self._shared = Shared(parts.limits)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path: str = scope["path"]
            if path == "/readyz":
                scope["path"] = path = "/v2/health/ready"
            edge = self._edges.get(path[:3])
            if edge is not None and path[3:4] in ("", "/"):
                await self._serve(edge, scope, receive, send)
                return
            if path == self._document.prefix:
                await self._serve(self._document, scope, receive, send)
                return
            if path == "/metrics" and not (self._parts.metrics_open or _from_this_machine(scope)):
                exchange = Exchange(scope, receive, send, self._shared)
                await exchange.answer(*problem(no_route(exchange), exchange.request_id))
                return
        await self._inner(scope, receive, send)

    async def _serve(self, edge: Edge, scope: Scope, receive: Receive, send: Send) -> None:
        started = time.perf_counter()
        exchange = Exchange(scope, receive, send, self._shared)
        tenant, code = "", "ok"
        try:
            if not await edge.public(exchange):
                principal = await self._parts.authenticator.authenticate(exchange.headers)
                tenant = principal.tenant
                await edge.handle(exchange, principal)
        except ClientGone:
            code = ErrorCode.CANCELLED
            exchange.status = http_status(code)
        except Exception as error:
            refusal = shown(error, request_id=exchange.request_id, path=exchange.path, tenant=tenant)
            code = refusal.code
            if not exchange.status:
                accept = exchange.headers.get(b"accept")
                await exchange.answer(*edge.problem(refusal, exchange.request_id, accept))
        finally:
            seconds = time.perf_counter() - started
            self._parts.access_log.record(exchange, seconds=seconds, tenant=tenant, code=code)


def _from_this_machine(scope: Scope) -> bool:
    try:
        address = ipaddress.ip_address((scope.get("client") or ("",))[0])
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
