# SPDX-License-Identifier: Apache-2.0
"""Meters for servers that run: they check that every request gets the right answer, then load the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import grpc
import httpx
import numpy as np

from core.tensors import Array
from loadtests.bench.place import Place
from loadtests.bench.wire import GRPC_METHOD, Wire, grpc_answer, grpc_request
from loadtests.bench.work import Meter, Metrics
from loadtests.h2load import h2load
from loadtests.models import Subject
from loadtests.servers import ServerFailed
from loadtests.wrk import Figures, Post, wrk

_RTOL, _ATOL = 1e-3, 1e-4  # a batch may round differently than a single row
_TIMEOUT_S: Final = 30.0


def http_meter(
    place: Place, subject: Subject, wire: Wire, url: str, *, headers: Mapping[str, str] | None = None
) -> Meter:
    """A meter whose levels are connections, each sending one request at a time.

    Raises:
        ServerFailed: If an answer is not 200 or not what onnxruntime gives.
    """
    encoded = [wire.encode(inputs, subject.output) for inputs in subject.requests]
    posts = [Post(headers={**post.headers, **(headers or {})}, body=post.body) for post in encoded]
    with httpx.Client(trust_env=False, timeout=_TIMEOUT_S) as client:
        for post, expected in zip(posts, subject.expected(), strict=True):
            answer = client.post(url, content=post.body, headers=dict(post.headers))
            if answer.status_code != httpx.codes.OK:
                raise ServerFailed(f"{url} answered {answer.status_code}: {answer.text[:500]}")
            _compare(url, wire.decode(answer.content, answer.headers), expected)

    def measure(level: int, seconds: float) -> Metrics:
        return metrics(wrk(url, posts, connections=level, seconds=seconds, scratch=place.folder("wrk")))

    return measure


def grpc_meter(
    place: Place, subject: Subject, address: str, *, model: str, headers: Mapping[str, str] | None = None
) -> Meter:
    """A meter whose levels are calls in flight.

    Raises:
        ServerFailed: If the call fails or its answer is not what onnxruntime gives.
    """
    message = grpc_request(model, subject.requests[0], subject.output)
    metadata = dict(headers or {})
    answer = grpc_call(address, GRPC_METHOD, message, metadata)
    _compare(address, grpc_answer(answer), subject.expected()[0])
    return raw_grpc_meter(place, address, GRPC_METHOD, message, answer=len(answer), headers=metadata)


def raw_grpc_meter(
    place: Place, address: str, method: str, message: bytes, *, answer: int, headers: dict[str, str]
) -> Meter:
    """A meter of one method whose answers have ``answer`` bytes."""

    def measure(level: int, seconds: float) -> Metrics:
        return metrics(
            h2load(
                f"http://{address}{method}",
                message,
                answer=answer,
                headers=headers,
                in_flight=level,
                seconds=seconds,
                scratch=place.folder("h2load"),
            )
        )

    return measure


def grpc_call(address: str, method: str, message: bytes, headers: Mapping[str, str]) -> bytes:
    """One call with serialized messages.

    Raises:
        ServerFailed: If it fails.
    """
    with grpc.insecure_channel(address) as channel:
        call: Any = channel.unary_unary(method, request_serializer=None, response_deserializer=None)
        try:
            answer: bytes = call(message, timeout=_TIMEOUT_S, metadata=tuple(headers.items()), wait_for_ready=True)
        except grpc.RpcError as error:
            raise ServerFailed(f"{address}{method} failed: {error}") from None
    return answer


def metrics(figures: Figures) -> Metrics:
    """A load generator's figures under the names the report uses.

    Raises:
        ServerFailed: If there was not one good answer.
    """
    if figures.requests <= figures.errors:
        raise ServerFailed(f"No good answer within {figures.seconds:.1f} s, {figures.errors} errors.")
    return {
        "per_second": figures.per_second,
        "p50_ms": figures.p50_ms,
        "p99_ms": figures.p99_ms,
        "errors": figures.errors,
        "requests": figures.requests,
    }


def _compare(server: str, got: Array, expected: Array) -> None:
    if got.size != expected.size or not np.allclose(got.ravel(), expected.ravel(), rtol=_RTOL, atol=_ATOL):
        raise ServerFailed(f"{server} answered {got.ravel()[:4]}…; expected {expected.ravel()[:4]}…")
