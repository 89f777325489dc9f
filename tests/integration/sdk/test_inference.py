# SPDX-License-Identifier: Apache-2.0
"""The SDK against the real inference application, around a runner that computes ``y = 2 x + 1``."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import numpy as np
import pytest
import pytest_asyncio

from core.clock import SystemClock
from core.errors import AuthError as Refusal
from core.errors import ErrorCode
from furoshiki import AsyncClient, AuthError, InvalidRequest, NotFound, Retry
from runners.testing import POISON, FakeRunner
from services.edge.auth import Identified, RememberedAuth
from services.testing import DIGEST, serving

ROWS = np.array([[1.5, 2.0], [3.0, -4.0]], dtype=np.float32)


class Through(httpx.AsyncBaseTransport):
    """Sends every request through another client."""

    def __init__(self, http: httpx.AsyncClient) -> None:
        self._http = http

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._http._transport.handle_async_request(request)


@pytest_asyncio.fixture
async def client() -> AsyncIterator[AsyncClient]:
    async with serving(FakeRunner(width=2)) as http:
        options = {"transport": Through(http), "retry": Retry(attempts=1)}
        async with AsyncClient("http://registry", api_key="", **options) as made:  # type: ignore[arg-type]
            yield made


@pytest.mark.parametrize("binary", [True, False])
async def test_infer_round_trip(client: AsyncClient, binary: bool) -> None:
    """Arrays go in and come out, and the result names model, version, verified digest and request."""
    result = await client.infer("fake", {"x": ROWS}, binary=binary)
    assert result["y"].tolist() == (2 * ROWS + 1).tolist()
    assert result["y"].dtype == np.float32
    assert (result.model, result.version, result.digest) == ("fake", "3", DIGEST)
    assert result.request_id


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize("binary", [True, False])
async def test_results_that_are_not_finite_survive(client: AsyncClient, binary: bool) -> None:
    """A result that overflows is infinite in binary form and NaN where JSON writes null."""
    huge = np.full((1, 2), 3e38, dtype=np.float32)
    result = await client.infer("fake", {"x": huge}, binary=binary)
    assert (np.isinf(result["y"]) if binary else np.isnan(result["y"])).all()


@pytest.mark.parametrize(
    ("inputs", "code"),
    [
        ({"x": ROWS.astype(np.float64)}, "TENSOR_002"),
        ({"x": ROWS[:, :1]}, "TENSOR_001"),
        ({}, "TENSOR_003"),
        ({"x": ROWS, "z": ROWS}, "TENSOR_004"),
    ],
)
async def test_errors_keep_their_code(client: AsyncClient, inputs: dict[str, np.ndarray], code: str) -> None:
    """What the service refuses arrives as the right kind of error with code, status and request id."""
    with pytest.raises(InvalidRequest) as caught:
        await client.infer("fake", inputs)
    assert (caught.value.code, caught.value.status) == (code, 400)
    assert caught.value.request_id


async def test_unknown_model_and_version_are_not_found(client: AsyncClient) -> None:
    """A model or version that is not served is not found."""
    for model, version in (("nope", None), ("fake", 9)):
        with pytest.raises(NotFound, match="MODEL_001"):
            await client.infer(model, {"x": ROWS}, version=version)
    assert (await client.infer("fake", {"x": ROWS}, version=3)).version == "3"


async def test_values_a_model_cannot_process_are_the_callers(client: AsyncClient) -> None:
    """A model that fails on these values refuses the request; it is not retried."""
    with pytest.raises(InvalidRequest, match="TENSOR_006") as caught:
        await client.infer("fake", {"x": np.full((1, 2), POISON, dtype=np.float32)})
    assert not caught.value.retryable


async def test_metadata_and_readiness(client: AsyncClient) -> None:
    """Metadata describes the served model; readiness is true."""
    described = await client.inference.metadata("fake")
    assert [(tensor.name, tensor.datatype, tensor.shape) for tensor in described.inputs] == [("x", "FP32", (-1, 2))]
    assert await client.inference.ready() is True


class Nobody:
    """A directory that knows no credential."""

    async def whoami(self, credential: str) -> Identified:
        raise Refusal(ErrorCode.AUTH_INVALID, "The credential is not valid.")


@pytest.mark.parametrize(("key", "code"), [("", "AUTH_001"), ("furo_x", "AUTH_002")])
async def test_refused_credentials_are_auth_errors(key: str, code: str) -> None:
    """No key and a wrong key are told apart."""
    authenticator = RememberedAuth(Nobody(), clock=SystemClock())
    async with (
        serving(FakeRunner(width=2), authenticator=authenticator) as http,
        AsyncClient("http://registry", api_key=key, transport=Through(http)) as client,
    ):
        with pytest.raises(AuthError) as caught:
            await client.infer("fake", {"x": ROWS})
    assert caught.value.code == code
