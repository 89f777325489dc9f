# SPDX-License-Identifier: Apache-2.0
"""A gRPC server around a fake runner, on a free loopback port."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import grpc
import pytest

from runners.testing import FakeRunner
from services.grpc_v2.options import GrpcOptions
from services.grpc_v2.server import GrpcServer
from services.grpc_v2.testing import listening, stub
from services.inference.app import Parts
from services.testing import parts


@dataclass
class Service:
    """A running server and a client of it."""

    made: Parts
    server: GrpcServer
    channel: grpc.aio.Channel
    methods: Any  # by name
    log: io.BytesIO

    def lines(self) -> list[bytes]:
        """The access log so far."""
        self.made.access_log.flush()
        return self.log.getvalue().splitlines()


Serving: TypeAlias = Callable[..., AbstractAsyncContextManager[Service]]


@pytest.fixture
def runner() -> FakeRunner:
    return FakeRunner(width=2)


@pytest.fixture(params=["http2", "grpc"])
def engine(request: pytest.FixtureRequest) -> Any:
    """Who speaks HTTP/2."""
    return request.param


@pytest.fixture
def serving(runner: FakeRunner, engine: Any) -> Serving:
    """Serves the fixture's runner; takes what :func:`services.testing.parts` takes, ``options``, and what to ``change``."""

    @asynccontextmanager
    async def run(
        *,
        options: GrpcOptions | None = None,
        change: Callable[[Parts], None] = lambda _made: None,
        **given: Any,
    ) -> AsyncIterator[Service]:
        log = io.BytesIO()
        made = parts(runner, log=log, **given)
        change(made)
        async with (
            listening(made, replace(options or GrpcOptions(), engine=engine)) as server,
            grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel,
        ):
            try:
                yield Service(made, server, channel, stub(channel), log)
            finally:
                runner.gate.set()
        await made.plane.close()

    return run
