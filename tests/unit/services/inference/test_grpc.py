# SPDX-License-Identifier: Apache-2.0
"""The gRPC port from its settings: off unless it has a number, and never open to others without credentials."""

from __future__ import annotations

import grpc
import pytest

from core.errors import ErrorCode, InitError
from deploy.local.stack import free_port
from runners.testing import FakeRunner
from services.grpc_v2.protocol import open_inference_pb2 as pb
from services.grpc_v2.testing import stub
from services.inference.grpc import open_grpc
from services.inference.settings import Auth, Grpc, InferenceSettings
from services.testing import parts


async def test_no_port_no_server() -> None:
    """Without a port nothing listens."""
    made = parts(FakeRunner())
    assert await open_grpc(made, InferenceSettings(), version="1") is None
    await made.plane.close()


async def test_it_listens_where_it_was_told() -> None:
    """The server answers on the port of the settings, with the version it was given."""
    made = parts(FakeRunner())
    port = free_port()
    server = await open_grpc(made, InferenceSettings(grpc=Grpc(port=port)), version="1.2")
    assert server is not None
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        about = await stub(channel).ServerMetadata(pb.ServerMetadataRequest())
    await server.stop(0)
    await made.plane.close()
    assert (server.port, about.version) == (port, "1.2")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
async def test_an_open_service_stays_on_this_machine(host: str) -> None:
    """An open service is refused any address but loopback."""
    made = parts(FakeRunner())
    settings = InferenceSettings(auth=Auth(mode="open"), grpc=Grpc(port=1, host=host))
    with pytest.raises(InitError, match="FUROSHIKI_GRPC__HOST") as caught:
        await open_grpc(made, settings, version="1")
    assert caught.value.code is ErrorCode.INIT_FAILED
    await made.plane.close()
