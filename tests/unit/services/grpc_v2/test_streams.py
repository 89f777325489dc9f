# SPDX-License-Identifier: Apache-2.0
"""Streams: in order, bounded, and no request can end another's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import grpc
import numpy as np
import orjson

from core.errors import AuthError, ErrorCode
from runners.testing import POISON, FakeRunner
from services.edge.auth import OpenAuth
from services.edge.context import Principal
from services.edge.features import DEFAULT_FEATURES
from services.grpc_v2.errors import ERROR_KEY
from services.grpc_v2.options import GrpcOptions
from services.grpc_v2.protocol import open_inference_pb2 as pb
from services.grpc_v2.testing import infer_request, outputs_of
from services.testing import MODEL, TENANT


def request(number: int, *, model: str = MODEL, value: float | None = None) -> pb.ModelInferRequest:
    x = np.array([[number if value is None else value, 0]], dtype=np.float32)
    return infer_request(model, {"x": x}, id=str(number))


def outcome(answer: pb.ModelStreamInferResponse) -> str:
    """The id of an answer, and what it is: a number or the code of an error."""
    response = answer.infer_response
    assert response.parameters["triton_final_response"].bool_param
    if answer.error_message:
        return f"{response.id} {response.parameters[ERROR_KEY].string_param}"
    return f"{response.id} {outputs_of(response)['y'][0, 0]:g}"


async def test_a_thousand_requests(serving: Any, runner: FakeRunner) -> None:
    """Answers come in the order of the requests, errors among them, and requests of one stream share batches."""
    requests = []
    for number in range(1000):
        requests.append(request(number))
        if number % 10 == 3:
            requests[-1] = request(number, model="other")
        if number % 10 == 7:
            requests[-1] = request(number, value=POISON)
    async with serving() as service:
        answers = [outcome(answer) async for answer in service.methods.ModelStreamInfer(iter(requests))]
        lines = service.lines()
    expected = {3: "MODEL_001", 7: "TENSOR_006"}
    assert answers == [f"{n} {expected.get(n % 10, 2 * n + 1)}" for n in range(1000)]
    assert max(runner.batches) > 1
    told = [orjson.loads(line) for line in lines]
    codes = [line["code"] for line in told]
    assert len(codes) == 1001  # each request and the stream itself
    assert all(line["sent_bytes"] and line["received_bytes"] for line in told[:-1])
    assert codes.count("MODEL_001") == 100


async def test_a_message_that_is_none(serving: Any) -> None:
    """A message nobody can parse is answered in its place, without an id."""
    async with serving() as service:
        call = service.channel.stream_stream("/inference.GRPCInferenceService/ModelStreamInfer")(
            iter([request(1).SerializeToString(), b"\xff\xff", request(2).SerializeToString()])
        )
        answers = [pb.ModelStreamInferResponse.FromString(answer) async for answer in call]
    assert [outcome(answer) for answer in answers] == ["1 3", " VALID_001", "2 5"]


async def test_what_is_under_way_is_bounded(serving: Any, runner: FakeRunner) -> None:
    """Beyond the bound nothing more is read from a stream until answers have been written."""
    runner.gate.clear()
    async with serving(options=GrpcOptions(stream_requests=3)) as service:
        call = service.methods.ModelStreamInfer(iter([request(number) for number in range(20)]))
        account = await first_account(service)
        most = 0
        for _ in range(200):
            await asyncio.sleep(0)
            most = max(most, account.in_flight)
        assert most <= 3
        runner.gate.set()
        assert [outcome(answer) async for answer in call] == [f"{n} {2 * n + 1}" for n in range(20)]


async def first_account(service: Any) -> Any:
    """The tenant's account at the gate, when it has one."""
    accounts = service.made.plane._gate._accounts
    async with asyncio.timeout(10):
        while not accounts:
            await asyncio.sleep(0.001)
    return accounts[TENANT]


async def test_a_client_that_goes_away(serving: Any, runner: FakeRunner) -> None:
    """What is under way of a cancelled stream is given up: it leaves the queue uncomputed, and nothing is left."""
    runner.gate.clear()
    async with serving() as service:
        call = service.methods.ModelStreamInfer(iter([request(number) for number in range(5)]))
        account = await first_account(service)
        async with asyncio.timeout(10):
            while account.in_flight < 5 or not runner.batches:
                await asyncio.sleep(0.001)
            call.cancel()
            while account.in_flight or not any(b'"received_bytes":0' in line for line in service.lines()):
                await asyncio.sleep(0.001)
        runner.gate.set()
        [line] = [line for line in map(orjson.loads, service.lines()) if not line["received_bytes"]]
    assert (line["code"], line["status"]) == (ErrorCode.CANCELLED, grpc.StatusCode.CANCELLED.value[0])
    assert sum(runner.batches) < 5


async def end_of(call: Any) -> tuple[list[str], grpc.aio.AioRpcError]:
    """What a stream answered before it was ended, and why."""
    answers: list[str] = []
    try:
        async for answer in call:
            answers.append(outcome(answer))  # noqa: PERF401 -- kept when the stream fails
    except grpc.aio.AioRpcError as error:
        return answers, error
    raise AssertionError(answers)


async def test_a_credential_that_is_revoked(serving: Any) -> None:
    """A credential is asked about for each request: once it opens nothing, the stream ends after what was answered."""

    class Fickle(OpenAuth):
        asked = 0

        def known(self, headers: Mapping[bytes, bytes]) -> Principal | None:
            self.asked += 1
            return super().known(headers) if self.asked <= 3 else None

        async def authenticate(self, headers: Mapping[bytes, bytes]) -> Principal:
            raise AuthError(ErrorCode.AUTH_INVALID, "The credential is not valid.")

    # grpc.aio's client reports INTERNAL if it is still writing when the stream ends, so nothing follows the refused one.
    requests = silent_after(*(request(n) for n in range(3)))
    async with serving(authenticator=Fickle(TENANT, features=DEFAULT_FEATURES)) as service:
        answers, error = await end_of(service.methods.ModelStreamInfer(requests))
    assert answers == ["0 1", "1 3"]
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_streams_can_be_switched_off(serving: Any) -> None:
    """A tenant without the feature gets PERMISSION_DENIED."""
    async with serving(authenticator=OpenAuth(TENANT, features=frozenset())) as service:
        answers, error = await end_of(service.methods.ModelStreamInfer(iter([request(1)])))
    assert (answers, error.code()) == ([], grpc.StatusCode.PERMISSION_DENIED)


async def silent_after(*requests: pb.ModelInferRequest) -> AsyncIterator[pb.ModelInferRequest]:
    for one in requests:
        yield one
    await asyncio.Event().wait()


async def test_an_idle_stream_is_ended(serving: Any) -> None:
    """A stream without a request for too long is ended; what it asked was answered."""
    async with serving(options=GrpcOptions(stream_idle_s=0.05)) as service:
        answers, error = await end_of(service.methods.ModelStreamInfer(silent_after(request(1))))
    assert (answers, error.code()) == (["1 3"], grpc.StatusCode.DEADLINE_EXCEEDED)


async def test_a_stop_ends_streams(serving: Any, runner: FakeRunner) -> None:
    """When the service stops, an open stream gets the answers to what was read, and then UNAVAILABLE."""
    runner.gate.clear()
    async with serving() as service:
        call = asyncio.ensure_future(end_of(service.methods.ModelStreamInfer(silent_after(request(1)))))
        while not runner.batches:
            await asyncio.sleep(0.001)
        stopping = asyncio.ensure_future(service.server.stop(10))
        await asyncio.sleep(0)
        runner.gate.set()
        answers, error = await call
        await stopping
    assert (answers, error.code()) == (["1 3"], grpc.StatusCode.UNAVAILABLE)
