# SPDX-License-Identifier: Apache-2.0
"""The listening port, and its end."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from typing import Any, Final, TypeAlias

import grpc

from core.errors import ErrorCode, InitError
from services.edge.limits import EdgeLimits
from services.grpc_v2.http2.connection import Connection
from services.grpc_v2.http2.exchange import Handled
from services.grpc_v2.http2.shared import Shared
from services.grpc_v2.http2.stream import Method
from services.grpc_v2.options import GrpcOptions, tls_files

_BACKLOG: Final = 1024
_CLOSING_S: Final = 1.0  # for connections to take their last bytes

_Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"


class Listener:
    """A port that is listened on."""

    def __init__(self, server: asyncio.Server, shared: Shared) -> None:
        self.port: int = server.sockets[0].getsockname()[1]
        self._server = server
        self._shared = shared

    async def stop(self, grace_s: float) -> None:
        """Refuses new calls, and returns when all have ended or were cancelled after ``grace_s``."""
        self._server.close()
        for connection in tuple(self._shared.connections):
            connection.drain()
        if not await self._shared.left(grace_s):
            for connection in tuple(self._shared.connections):
                connection.stop()
            await self._shared.left(_CLOSING_S)


async def listen(
    handlers: Mapping[str, _Handler], direct: Mapping[str, Method], options: GrpcOptions, limits: EdgeLimits
) -> Listener:
    """Listens on the running event loop.

    Args:
        handlers: Answer calls in tasks; by path.
        direct: Answer calls themselves; by path.
        options: Where to listen, and bounds.
        limits: Bounds of messages.

    Raises:
        InitError: ``INIT_001`` if it cannot listen, ``INIT_002`` if its TLS files cannot be used.
    """
    handled = {path: Handled(handler, limits.body_bytes) for path, handler in handlers.items()}
    shared = Shared({**handled, **direct}, options, limits)
    try:
        server = await shared.loop.create_server(
            lambda: Connection(shared),
            options.host,
            options.port,
            ssl=_tls(options),
            reuse_port=options.shared_port,
            backlog=_BACKLOG,
        )
    except OSError:
        raise InitError(
            ErrorCode.INIT_FAILED,
            f"FUROSHIKI_GRPC__PORT: cannot listen on {options.address}; it is in use, or not an address of this machine.",
        ) from None
    return Listener(server, shared)


def _tls(options: GrpcOptions) -> ssl.SSLContext | None:
    files = tls_files(options)
    if files is None or options.certificate is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["h2"])
    context.load_cert_chain(options.certificate, options.key)
    if files.client_ca is not None:
        context.load_verify_locations(cadata=files.client_ca.decode("ascii"))
        context.verify_mode = ssl.CERT_REQUIRED
    return context
