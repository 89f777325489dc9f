# SPDX-License-Identifier: Apache-2.0
"""``python -m loadtests.peers.grpc_echo PORT BYTES``: a ``grpc.aio`` server on uvloop whose ModelInfer does nothing.

Each call answers ``BYTES`` zero bytes. It is the ceiling of every Python server on that stack.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import grpc.aio
import uvloop


async def serve(port: int, size: int) -> None:
    """Serves until the process is ended."""
    answer = bytes(size)

    async def echo(_request: bytes, _context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
        return answer

    methods: dict[str, Any] = {"ModelInfer": grpc.unary_unary_rpc_method_handler(echo)}
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("inference.GRPCInferenceService", methods),))
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(int(sys.argv[1]), int(sys.argv[2])))
