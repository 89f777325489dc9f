# SPDX-License-Identifier: Apache-2.0
"""One call: who sends it, how long it may take, how it ends, what is logged of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import grpc
import numpy as np
import orjson
import pytest

from core.errors import AuthError, ErrorCode, Overloaded
from core.inference import InferenceRequest, InferenceResponse
from runners.testing import FakeRunner
from services.dataplane.infer import DataPlane
from services.edge.auth import OpenAuth
from services.edge.context import Principal
from services.edge.limits import EdgeLimits
from services.grpc_v2.codec import DIGEST_KEY
from services.grpc_v2.options import GrpcOptions
from services.grpc_v2.testing import infer_request, listening, outputs_of, stub
from services.inference.app import Parts
from services.testing import DIGEST, MODEL, TENANT, parts

X = np.array([[1.5, 2.0]], dtype=np.float32)
REQUEST = infer_request(MODEL, {"x": X}, id="42")


async def refused(call: Any) -> tuple[grpc.StatusCode, dict[str, str], str]:
    """Status, trailing metadata and words of a call that fails."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    trailing = {key: str(value) for key, value in caught.value.trailing_metadata() or ()}
    return caught.value.code(), trailing, caught.value.details() or ""


async def test_an_inference(serving: Any) -> None:
    """The answer carries the model, its version and digest, the id of the request and the result, and nothing typed."""
    async with serving() as service:
        answer = await service.methods.ModelInfer(REQUEST)
    assert (answer.model_name, answer.model_version, answer.id) == ("fake", "3", "42")
    assert answer.parameters[DIGEST_KEY].string_param == DIGEST
    assert outputs_of(answer)["y"].tolist() == [[4.0, 5.0]]
    assert not answer.outputs[0].HasField("contents")


async def test_the_access_log(serving: Any) -> None:
    """A line per call, whether it succeeds or fails, with the number of its gRPC status."""
    async with serving() as service:
        await service.methods.ModelInfer(REQUEST, metadata=(("x-request-id", "call-1"),))
        await refused(service.methods.ModelInfer(infer_request("other", {"x": X})))
        lines = [orjson.loads(line) for line in service.lines()]
    path = "/inference.GRPCInferenceService/ModelInfer"
    assert [line["event"] for line in lines] == ["request", "request"]
    assert [(line["method"], line["path"], line["tenant"]) for line in lines] == [("GRPC", path, TENANT)] * 2
    assert [(line["status"], line["code"]) for line in lines] == [(0, "ok"), (5, "MODEL_001")]
    assert lines[0]["request_id"] == "call-1"
    assert lines[0]["received_bytes"] == REQUEST.ByteSize()
    assert lines[0]["sent_bytes"] > 0


async def test_what_an_error_carries(serving: Any) -> None:
    """The stable code, a request id, and when to come back, in the forms that people and clients read."""

    class Busy(OpenAuth):
        def known(self, headers: Mapping[bytes, bytes]) -> Principal | None:
            raise Overloaded(ErrorCode.QUOTA_EXCEEDED, "Not now.", retry_after=0.25)

    async with serving(authenticator=Busy(TENANT)) as service:
        status, trailing, words = await refused(service.methods.ModelInfer(REQUEST))
    assert (status, words) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "Not now.")
    assert trailing["x-furoshiki-error"] == "QUOTA_001"
    assert (trailing["retry-after"], trailing["grpc-retry-pushback-ms"]) == ("1", "250")
    assert len(trailing["x-request-id"]) == 32


async def test_credentials_are_metadata(serving: Any) -> None:
    """The authenticator sees the metadata as it sees HTTP headers; binary metadata is none of its business."""
    seen: list[Mapping[bytes, bytes]] = []

    class Watching(OpenAuth):
        def known(self, headers: Mapping[bytes, bytes]) -> Principal | None:
            seen.append(headers)
            return None

        async def authenticate(self, headers: Mapping[bytes, bytes]) -> Principal:
            raise AuthError(ErrorCode.AUTH_REQUIRED, "No credential was sent.")

    async with serving(authenticator=Watching(TENANT)) as service:
        metadata = (("authorization", "Bearer abc"), ("X-API-Key".lower(), "k"), ("trace-bin", b"\xff\x00"))
        status, _, _ = await refused(service.methods.ModelInfer(REQUEST, metadata=metadata))
    assert status is grpc.StatusCode.UNAUTHENTICATED
    [headers] = seen
    assert (headers[b"authorization"], headers[b"x-api-key"]) == (b"Bearer abc", b"k")
    assert b"trace-bin" not in headers


class Recording(DataPlane):
    """Has every model looked up, and remembers the requests."""

    requests: list[InferenceRequest]

    def begin(self, principal: Principal, model: str, version: str | None, *, protocol: str) -> None:
        return None

    async def infer(self, principal: Principal, request: InferenceRequest, *, protocol: str) -> InferenceResponse:
        assert protocol == "grpc_v2"
        self.requests.append(request)
        return await super().infer(principal, request, protocol=protocol)


async def test_the_earlier_deadline_counts(serving: Any) -> None:
    """Of the call's own deadline and the request's ``timeout`` the earlier one travels on; priority and trace do as well."""
    patient = infer_request(MODEL, {"x": X})
    patient.parameters["timeout"].int64_param = 500_000_000
    patient.parameters["priority"].uint64_param = 3
    hasty = infer_request(MODEL, {"x": X})
    hasty.parameters["timeout"].uint64_param = 20_000_000
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    seen: list[InferenceRequest] = []

    def record(made: Parts) -> None:
        made.plane.__class__ = Recording
        made.plane.requests = seen  # type: ignore[attr-defined]

    async with serving(change=record) as service:
        began = asyncio.get_running_loop().time()
        await service.methods.ModelInfer(patient, timeout=100, metadata=(("traceparent", trace),))
        await service.methods.ModelInfer(hasty, timeout=100)
        await service.methods.ModelInfer(patient)
        await service.methods.ModelInfer(REQUEST)
    left = [None if request.deadline is None else request.deadline - began for request in seen]
    assert left[:3] == [pytest.approx(100, abs=5), pytest.approx(20, abs=5), pytest.approx(500, abs=5)]
    assert left[3] is None
    assert [request.priority for request in seen] == [3, 0, 3, 0]
    assert [request.traceparent for request in seen] == [trace, None, None, None]


async def test_a_passed_deadline(serving: Any, runner: FakeRunner) -> None:
    """A call whose deadline passes while its model is busy gets DEADLINE_EXCEEDED, and its request is not run."""
    runner.gate.clear()
    async with serving() as service:
        busy = asyncio.ensure_future(service.methods.ModelInfer(REQUEST))
        await until(lambda: runner.batches)
        status, _, _ = await refused(service.methods.ModelInfer(REQUEST, timeout=0.05))
        runner.gate.set()
        await busy
        assert status is grpc.StatusCode.DEADLINE_EXCEEDED
        assert runner.batches == [1]


async def test_a_cancelled_call(serving: Any, runner: FakeRunner) -> None:
    """A call that its client gives up leaves the queue uncomputed and is logged as such."""
    runner.gate.clear()
    async with serving() as service:
        busy = asyncio.ensure_future(service.methods.ModelInfer(REQUEST))
        await until(lambda: runner.batches)
        given_up = service.methods.ModelInfer(REQUEST)
        ended = asyncio.ensure_future(given_up.code())
        handle = (await service.made.plane.statistics(Principal(tenant=TENANT, key_id="k"), None, None))[0][2]
        await until(lambda: under_way(service) == 2)
        given_up.cancel()
        assert await ended is grpc.StatusCode.CANCELLED
        await until(lambda: handle.cancel.count)
        runner.gate.set()
        await busy
        codes = [orjson.loads(line)["code"] for line in service.lines()]
    assert runner.batches == [1]
    assert sorted(codes) == [ErrorCode.CANCELLED, "ok"]


def under_way(service: Any) -> int:
    """Requests the gate has let in and that have not ended."""
    return sum(account.in_flight for account in service.made.plane._gate._accounts.values())


async def until(true: Any) -> None:
    """Lets the loop run until a fact is observed."""
    async with asyncio.timeout(10):
        while not true():
            await asyncio.sleep(0.001)


async def test_messages_have_a_limit(serving: Any) -> None:
    """A message beyond the limit of a body is refused by gRPC itself, packed or not; the next call is answered."""
    large = infer_request(MODEL, {"x": np.zeros((1000, 2), dtype=np.float32)})
    async with serving(limits=EdgeLimits(body_bytes=4096)) as service:
        plain, _, words = await refused(service.methods.ModelInfer(large))
        packed, _, _ = await refused(service.methods.ModelInfer(large, compression=grpc.Compression.Gzip))
        answer = await service.methods.ModelInfer(REQUEST, compression=grpc.Compression.Gzip)
    assert (plain, packed) == (grpc.StatusCode.RESOURCE_EXHAUSTED,) * 2
    assert "larger than max" in words
    assert answer.id == "42"


async def test_what_is_no_message(serving: Any) -> None:
    """Bytes that are no message get INVALID_ARGUMENT and VALID_001 from every method that reads its request."""
    async with serving() as service:
        for method in ("ModelInfer", "ModelReady", "ModelMetadata", "RepositoryIndex", "SystemSharedMemoryStatus"):
            call = service.channel.unary_unary(f"/inference.GRPCInferenceService/{method}")
            status, trailing, _ = await refused(call(b"\xff\xff\xff"))
            assert (status, trailing["x-furoshiki-error"]) == (grpc.StatusCode.INVALID_ARGUMENT, ErrorCode.MALFORMED)


async def test_an_unknown_method(serving: Any) -> None:
    """A method nobody knows gets UNIMPLEMENTED."""
    async with serving() as service:
        status, _, _ = await refused(service.channel.unary_unary("/inference.GRPCInferenceService/ModelConfig")(b""))
    assert status is grpc.StatusCode.UNIMPLEMENTED


async def test_a_request_that_cannot_be_decoded_takes_no_place(serving: Any) -> None:
    """A refused tensor ends its place at the gate and its lease on the model."""
    wrong = infer_request(MODEL, {"x": X})
    wrong.raw_input_contents[0] = b"123"
    async with serving() as service:
        status, trailing, _ = await refused(service.methods.ModelInfer(wrong))
        await service.methods.ModelInfer(REQUEST)
        assert under_way(service) == 0
    assert (status, trailing["x-furoshiki-error"]) == (grpc.StatusCode.INVALID_ARGUMENT, ErrorCode.TENSOR_DATA)


async def test_a_result_that_comes_too_late(serving: Any, runner: FakeRunner) -> None:
    """A result for a call that was given up while it ran is dropped; the server goes on."""
    runner.gate.clear()
    async with serving() as service:
        call = service.methods.ModelInfer(REQUEST)
        sending = asyncio.ensure_future(call.code())
        await until(lambda: runner.batches)
        call.cancel()
        assert await sending is grpc.StatusCode.CANCELLED
        runner.gate.set()
        assert (await service.methods.ModelInfer(REQUEST)).id == "42"


async def test_large_messages(engine: Any) -> None:
    """Requests and answers far beyond the windows of a connection arrive whole, several at a time."""
    x = np.arange(2**19, dtype=np.float32).reshape(-1, 1024)
    made = parts(FakeRunner(width=1024))
    async with (
        listening(made, GrpcOptions(engine=engine)) as server,
        grpc.aio.insecure_channel(
            f"127.0.0.1:{server.port}", options=[("grpc.max_receive_message_length", -1)]
        ) as channel,
    ):
        requests = [infer_request(MODEL, {"x": x + n}, id=str(n)) for n in range(4)]
        answers = await asyncio.gather(*map(stub(channel).ModelInfer, requests))
    await made.plane.close()
    for n, answer in enumerate(answers):
        np.testing.assert_array_equal(outputs_of(answer)["y"], (x + n) * 2 + 1)
        assert answer.id == str(n)
