# SPDX-License-Identifier: Apache-2.0
"""Wiring of the gRPC port: from settings to a server beside the HTTP one."""

from __future__ import annotations

import ipaddress

from core.errors import ErrorCode, InitError
from core.telemetry.logs import get_logger
from services.grpc_v2.options import GrpcOptions
from services.grpc_v2.server import GrpcServer, serve
from services.inference.app import Parts
from services.inference.settings import InferenceSettings

log = get_logger(__name__)


async def open_grpc(parts: Parts, settings: InferenceSettings, *, version: str) -> GrpcServer | None:
    """Starts the server on the running event loop; None if no port is set. Several API workers share the port.

    Raises:
        InitError: ``INIT_*`` if an open service would be reachable from outside, or the port or its TLS files cannot be used.
    """
    given = settings.grpc
    if given.port is None:
        return None
    if settings.auth.mode == "open" and not _is_loopback(given.host):
        raise InitError(
            ErrorCode.INIT_FAILED,
            f"FUROSHIKI_GRPC__HOST: got {given.host!r} with FUROSHIKI_AUTH__MODE=open; an open service only listens on "
            "loopback. Use 127.0.0.1, or another FUROSHIKI_AUTH__MODE.",
        )
    options = GrpcOptions(shared_port=settings.http.workers > 1, **given.model_dump())
    server = await serve(parts, options, version=version)
    log.info("grpc_listening", address=options.address, tls=options.certificate is not None)
    return server


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
