# SPDX-License-Identifier: Apache-2.0
"""Proves that a deployment serves: it says so, and it answers one inference of zeros of the model's own signature."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import httpx
import orjson

from core.errors import ErrorCode, JobError
from core.tensors import ANY, DType, TensorSpec
from registry_api.deployments.target import Started

_POLL_SECONDS: Final = 0.1
_HEALTH_SECONDS: Final = 5.0  # for one answer about health
_INFER_SECONDS: Final = 60.0  # for one inference: the first one may have to warm up
_SHOWN_CHARS: Final = 500
_BYTES_ELEMENT: Final = 4  # an empty element of BYTES: its length


def zeros(inputs: tuple[TensorSpec, ...]) -> tuple[bytes, int]:
    """An inference request of the Open Inference Protocol: one row of zeros for every input, in binary form.

    Dimensions of any size become 1; elements of BYTES are empty.

    Returns:
        The body, and the length of its JSON part.
    """
    tensors: list[dict[str, Any]] = []
    data = b""
    for spec in inputs:
        shape = [1 if size == ANY else size for size in spec.shape]
        count = 1
        for size in shape:
            count *= size
        width = _BYTES_ELEMENT if spec.dtype is DType.BYTES else spec.dtype.numpy.itemsize
        parameters = {"binary_data_size": count * width}
        tensors.append({"name": spec.name, "shape": shape, "datatype": spec.dtype.oip, "parameters": parameters})
        data += bytes(count * width)
    header = orjson.dumps({"inputs": tensors, "parameters": {"binary_data_output": True}})
    return header + data, len(header)


class Probe:
    """Asks one deployment.

    Args:
        client: An HTTP client that uses no proxy.
        started: What to ask.
        model: The model it serves.
        inputs: What the model takes.
        credential: An API key; None for an open deployment.
    """

    def __init__(
        self,
        client: httpx.AsyncClient,
        started: Started,
        *,
        model: str,
        inputs: tuple[TensorSpec, ...],
        credential: str | None,
    ) -> None:
        self._client = client
        self._started = started
        self._model = model
        self._inputs = inputs
        self._credential = credential

    async def ready(self) -> bool:
        """Whether it says that it is ready."""
        try:
            reply = await self._client.get(f"{self._started.url}/v2/health/ready", timeout=_HEALTH_SECONDS)
        except httpx.TransportError:
            return False
        return reply.status_code == httpx.codes.OK

    async def infer(self) -> None:
        """Sends zeros and checks that an answer comes back.

        Raises:
            JobError: ``JOB_002`` with what it answered instead.
        """
        body, header = zeros(self._inputs)
        headers = {"Inference-Header-Content-Length": str(header), "Content-Type": "application/octet-stream"}
        if self._credential is not None:
            headers["X-API-Key"] = self._credential
        url = f"{self._started.url}/v2/models/{self._model}/infer"
        try:
            reply = await self._client.post(url, content=body, headers=headers, timeout=_INFER_SECONDS)
        except httpx.TransportError as error:
            raise _refused(f"{type(error).__name__}: {error}") from error
        if reply.status_code != httpx.codes.OK:
            raise _refused(f"status {reply.status_code}: {reply.text[:_SHOWN_CHARS]}")


async def until(condition: Callable[[], Awaitable[bool]], *, timeout: float) -> bool:
    """Looks again and again until ``condition`` holds; False if ``timeout`` (seconds) passes first."""
    try:
        async with asyncio.timeout(timeout):
            while not await condition():  # noqa: ASYNC110 - another process cannot set an event
                await asyncio.sleep(_POLL_SECONDS)
    except TimeoutError:
        return False
    return True


def _refused(answer: str) -> JobError:
    return JobError(
        ErrorCode.JOB_FAILED, f"The deployment says it is ready, but an inference of zeros was answered with {answer}"
    )
