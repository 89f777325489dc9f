# SPDX-License-Identifier: Apache-2.0
"""The inference that proves a deployment ready."""

from __future__ import annotations

import json

import httpx
import pytest

from core.errors import ErrorCode, JobError
from core.tensors import DType, TensorSpec
from registry_api.deployments.readiness import Probe, until, zeros
from registry_api.deployments.target import Started
from services.edge.binary_tensors import decode

INPUTS = (
    TensorSpec(name="X", dtype=DType.FP32, shape=(-1, 64)),
    TensorSpec(name="half", dtype=DType.FP16, shape=(-1, 2, -1)),
    TensorSpec(name="words", dtype=DType.BYTES, shape=(-1, 3)),
    TensorSpec(name="scalar", dtype=DType.INT64, shape=()),
)
STARTED = Started(url="http://127.0.0.1:1", pid=1)


def test_zeros_of_every_datatype_are_a_legal_request() -> None:
    """Free dimensions are 1, the announced sizes add up to the body, and the service's own decoder reads each tensor."""
    body, header = zeros(INPUTS)
    tensors = json.loads(body[:header])["inputs"]
    assert [tensor["shape"] for tensor in tensors] == [[1, 64], [1, 2, 1], [1, 3], []]
    start = header
    for spec, tensor in zip(INPUTS, tensors, strict=True):
        size, count = tensor["parameters"]["binary_data_size"], 1
        for dimension in tensor["shape"]:
            count *= dimension
        array = decode(body, start, size, dtype=spec.dtype, shape=tensor["shape"], count=count, name=spec.name)
        assert not array.any()
        start += size
    assert start == len(body)


def _probe(answer: httpx.Response, asked: list[httpx.Request], credential: str | None = None) -> Probe:
    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return answer

    client = httpx.AsyncClient(transport=httpx.MockTransport(handle))
    return Probe(client, STARTED, model="digits", inputs=INPUTS[:1], credential=credential)


async def test_the_credential_goes_with_the_inference_only() -> None:
    """Health is asked without a key, the inference with it."""
    asked: list[httpx.Request] = []
    probe = _probe(httpx.Response(200), asked, "furo_key")
    assert await probe.ready()
    await probe.infer()
    assert [request.url.path for request in asked] == ["/v2/health/ready", "/v2/models/digits/infer"]
    assert [request.headers.get("X-API-Key") for request in asked] == [None, "furo_key"]


async def test_a_refused_inference_is_told_with_its_reason() -> None:
    """JOB_002 with status and beginning of the answer."""
    probe = _probe(httpx.Response(500, text="the runtime failed"), [])
    assert not await probe.ready()
    with pytest.raises(JobError, match="500: the runtime failed") as refused:
        await probe.infer()
    assert refused.value.code is ErrorCode.JOB_FAILED


async def test_waiting_ends_with_the_condition_or_the_time() -> None:
    """True as soon as the condition holds, False when it does not in time."""

    async def yes() -> bool:
        return True

    async def no() -> bool:
        return False

    assert await until(yes, timeout=60)
    assert not await until(no, timeout=0.01)
