# SPDX-License-Identifier: Apache-2.0
"""The server: TLS, health, reflection, its port, its end."""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection_pb2

from core.errors import ErrorCode, InitError
from runners.testing import FakeRunner
from services.grpc_v2.options import GrpcOptions
from services.grpc_v2.protocol import open_inference_pb2 as pb
from services.grpc_v2.server import serve
from services.grpc_v2.testing import infer_request, listening, stub
from services.testing import MODEL, parts

REQUEST = infer_request(MODEL, {"x": np.ones((1, 2), dtype=np.float32)}, id="1")
HEALTH = health_pb2.DESCRIPTOR.services_by_name["Health"]
SERVICE = "inference.GRPCInferenceService"


@dataclass
class Certificate:
    """A key and its certificate, in PEM."""

    key: bytes
    certificate: bytes


def make_certificate(
    name: str, signer: tuple[ec.EllipticCurvePrivateKey, x509.Name] | None = None
) -> tuple[Certificate, Any]:
    """A certificate for 127.0.0.1, signed by ``signer`` or by itself, and what signs others with it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signing_key, issuer = signer or (key, subject)
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(minutes=5))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=signer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .sign(signing_key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Certificate(private, made.public_bytes(serialization.Encoding.PEM)), (key, subject)


@pytest.fixture(scope="module")
def certificates() -> dict[str, Certificate]:
    """An authority, a server and a client it signed, and a stranger."""
    authority, signer = make_certificate("authority")
    return {
        "authority": authority,
        "server": make_certificate("server", signer)[0],
        "client": make_certificate("client", signer)[0],
        "stranger": make_certificate("stranger")[0],
    }


@pytest.fixture
def tls(certificates: dict[str, Certificate], tmp_path: Path) -> GrpcOptions:
    """A TLS port without client certificates."""
    (tmp_path / "key.pem").write_bytes(certificates["server"].key)
    (tmp_path / "certificate.pem").write_bytes(certificates["server"].certificate)
    (tmp_path / "authority.pem").write_bytes(certificates["authority"].certificate)
    return GrpcOptions(key=tmp_path / "key.pem", certificate=tmp_path / "certificate.pem")


@asynccontextmanager
async def connected(port: int, authority: Certificate, own: Certificate | None = None) -> AsyncIterator[Any]:
    """The methods of a server behind TLS."""
    credentials = grpc.ssl_channel_credentials(
        authority.certificate, own.key if own else None, own.certificate if own else None
    )
    async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials) as channel:
        yield stub(channel)


async def test_tls(serving: Any, tls: GrpcOptions, certificates: dict[str, Certificate]) -> None:
    """A TLS port answers those who trust its authority, and nobody in plain text."""
    async with serving(options=tls) as service:
        async with connected(service.server.port, certificates["authority"]) as methods:
            assert (await methods.ModelInfer(REQUEST)).id == "1"
        async with connected(service.server.port, certificates["stranger"]) as methods:
            with pytest.raises(grpc.aio.AioRpcError) as distrusted:
                await methods.ServerLive(pb.ServerLiveRequest(), timeout=10)
        with pytest.raises(grpc.aio.AioRpcError) as plain:
            await service.methods.ServerLive(pb.ServerLiveRequest(), timeout=10)
    assert {distrusted.value.code(), plain.value.code()} == {grpc.StatusCode.UNAVAILABLE}


async def test_client_certificates(
    serving: Any, tls: GrpcOptions, certificates: dict[str, Certificate], tmp_path: Path
) -> None:
    """With a client authority only those get in whose certificate it signed."""
    options = GrpcOptions(key=tls.key, certificate=tls.certificate, client_ca=tmp_path / "authority.pem")
    codes = {}
    async with serving(options=options) as service:
        for who in ("client", "stranger", None):
            own = certificates[who] if who else None
            async with connected(service.server.port, certificates["authority"], own) as methods:
                try:
                    await methods.ModelInfer(REQUEST, timeout=10)
                    codes[who] = grpc.StatusCode.OK
                except grpc.aio.AioRpcError as error:
                    codes[who] = error.code()
    unavailable = grpc.StatusCode.UNAVAILABLE
    assert codes == {"client": grpc.StatusCode.OK, "stranger": unavailable, None: unavailable}


async def test_a_port_that_is_taken(serving: Any) -> None:
    """A port somebody listens on is refused with INIT_001, unless processes are to share it."""
    async with serving(options=GrpcOptions(shared_port=True)) as service:
        port, made = service.server.port, service.made
        with pytest.raises(InitError, match=str(port)) as caught:
            await serve(made, GrpcOptions(port=port), version="0")
        assert caught.value.code is ErrorCode.INIT_FAILED
        async with listening(made, GrpcOptions(port=port, shared_port=True)) as second:
            assert second.port == port


async def test_health(serving: Any, runner: FakeRunner) -> None:
    """Health is asked of the data plane each time: a service without its model is not serving. It needs no credential."""
    async with serving(control=True) as service:
        check = stub(service.channel, HEALTH).Check
        for name in ("", SERVICE):
            answer = await check(health_pb2.HealthCheckRequest(service=name))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await check(health_pb2.HealthCheckRequest(service="other"))
        await service.methods.RepositoryModelUnload(pb.RepositoryModelUnloadRequest(model_name=MODEL))
        answer = await check(health_pb2.HealthCheckRequest())
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert answer.status == health_pb2.HealthCheckResponse.NOT_SERVING


async def test_watching_health(serving: Any) -> None:
    """Who watches is told the state at once, and that the service stops; of an unknown service, that it is unknown."""
    async with serving() as service:
        watch = stub(service.channel, HEALTH).Watch
        unknown = watch(health_pb2.HealthCheckRequest(service="other"))
        known = watch(health_pb2.HealthCheckRequest())
        states = [(await call.read()).status for call in (unknown, known)]
        stopping = asyncio.ensure_future(service.server.stop(10))
        states.append((await known.read()).status)
        assert await known.read() is grpc.aio.EOF
        await stopping
    kinds = health_pb2.HealthCheckResponse
    assert states == [kinds.SERVICE_UNKNOWN, kinds.SERVING, kinds.NOT_SERVING]


@pytest.mark.parametrize("version", ["v1alpha", "v1"])
async def test_reflection(serving: Any, version: str) -> None:
    """Clients of both names of reflection learn the services and every message of the protocol."""
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE),
    ]
    async with serving() as service:
        call = service.channel.stream_stream(
            f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
            request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
            response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
        )(iter(requests))
        listed, described = [answer async for answer in call]
    assert {SERVICE, "grpc.health.v1.Health"} <= {s.name for s in listed.list_services_response.service}
    file = FileDescriptorProto.FromString(described.file_descriptor_response.file_descriptor_proto[0])
    assert file.package == "inference"
    assert len(file.service[0].method) == len(pb.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods)


async def test_without_reflection(serving: Any) -> None:
    """Where reflection is off, nobody answers for it."""
    async with serving(options=GrpcOptions(reflection=False)) as service:
        call = service.channel.stream_stream("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo")(iter([b""]))
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call.read()
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


async def test_calls_are_bounded(serving: Any, runner: FakeRunner) -> None:
    """Beyond the bound a call is refused at once; when another has ended, it is answered."""
    runner.gate.clear()
    async with serving(options=GrpcOptions(calls=1)) as service:
        first = asyncio.ensure_future(service.methods.ModelInfer(REQUEST))
        while not runner.batches:
            await asyncio.sleep(0.001)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await service.methods.ModelInfer(REQUEST)
        runner.gate.set()
        await first
        assert (await service.methods.ModelInfer(REQUEST)).id == "1"
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_stop_waits_for_calls(runner: FakeRunner) -> None:
    """Calls that were accepted are answered within the grace; new ones are refused."""
    runner.gate.clear()
    made = parts(runner)
    server = await serve(made, GrpcOptions(), version="0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        methods = stub(channel)
        call = asyncio.ensure_future(methods.ModelInfer(REQUEST))
        while not runner.batches:
            await asyncio.sleep(0.001)
        stopping = asyncio.ensure_future(server.stop(10))
        await asyncio.sleep(0.01)
        with pytest.raises(grpc.aio.AioRpcError):
            await methods.ServerLive(pb.ServerLiveRequest(), timeout=5)
        runner.gate.set()
        assert (await call).id == "1"
        await stopping
    await made.plane.close()


async def test_a_stop_does_not_wait_for_ever(runner: FakeRunner) -> None:
    """Calls that have not ended within the grace are cancelled."""
    runner.gate.clear()
    made = parts(runner)
    server = await serve(made, GrpcOptions(), version="0")
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        call = stub(channel).ModelInfer(REQUEST)
        code = asyncio.ensure_future(call.code())
        while not runner.batches:
            await asyncio.sleep(0.001)
        await server.stop(0.01)
        assert await code in (grpc.StatusCode.CANCELLED, grpc.StatusCode.UNAVAILABLE)
    runner.gate.set()
    await made.plane.close()


async def test_an_authority_that_is_none(tls: GrpcOptions, tmp_path: Path, runner: FakeRunner) -> None:
    """A file without certificates as client authority is refused: nobody could get in."""
    (tmp_path / "empty.pem").write_text("none")
    options = GrpcOptions(key=tls.key, certificate=tls.certificate, client_ca=tmp_path / "empty.pem")
    made = parts(runner)
    with pytest.raises(InitError, match="GRPC__CLIENT_CA"):
        await serve(made, options, version="0")
    await made.plane.close()
