# SPDX-License-Identifier: Apache-2.0
"""A model whose requests a test answers, and both ends of a connection in one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from core.errors import ErrorCode, Unavailable
from core.inference import InferenceRequest
from core.tensors import ANY, Array, DType, Signature, TensorSpec
from runners.batching.waiting import wait_for
from runners.batching.work import Done, Outcome
from runners.cache import LoadedModel
from runners.remote.endpoint import Listener
from runners.remote.handle import RemoteHandle, attach
from runners.remote.limits import WireLimits
from runners.remote.server import RunnerServer
from runners.statistics import ModelStatistics

SIGNATURE = Signature(
    inputs=(TensorSpec(name="x", dtype=DType.FP32, shape=(ANY, ANY)),),
    outputs=(
        TensorSpec(name="y", dtype=DType.FP32, shape=(ANY, ANY)),
        TensorSpec(name="rows", dtype=DType.INT64, shape=(ANY,)),
    ),
)
DIGEST = "sha256:" + "ab" * 32


class Asked:
    """One request that reached a :class:`ManualHandle`."""

    def __init__(self, request: InferenceRequest, done: Done) -> None:
        self.request = request
        self.answer = done
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class ManualHandle:
    """A handle that keeps every request in ``asked`` until the test answers it.

    Args:
        signature: The model's tensors.
    """

    runner = "manual"

    def __init__(self, signature: Signature = SIGNATURE) -> None:
        self.signature = signature
        self.asked: list[Asked] = []
        self.refusal: Exception | None = None  # raised by submit
        self.ready = True
        self._arrived = asyncio.Event()
        self._statistics = ModelStatistics()

    def submit(self, request: InferenceRequest, done: Done) -> Asked:
        if self.refusal is not None:
            raise self.refusal
        asked = Asked(request, done)
        self.asked.append(asked)
        self._arrived.set()
        return asked

    async def infer(self, request: InferenceRequest) -> dict[str, Array]:
        return await wait_for(self.submit, request)

    async def reached(self, count: int) -> list[Asked]:
        """Waits for the first ``count`` requests."""
        while len(self.asked) < count:
            self._arrived.clear()
            await self._arrived.wait()
        return self.asked

    def answer_all(self, outcome: Outcome) -> None:
        """Answers every request that was not cancelled."""
        asked, self.asked = self.asked, []
        for one in asked:
            if not one.cancelled:
                one.answer(outcome)

    def statistics(self) -> ModelStatistics:
        return self._statistics

    async def drain(self) -> None:
        self.ready = False

    async def close(self) -> None:
        self.ready = False
        self.answer_all(Unavailable(ErrorCode.MODEL_NOT_READY, "Unloaded."))


def loaded(handle: ManualHandle) -> LoadedModel:
    """A model as the loader would leave it."""
    return LoadedModel(
        tenant="acme",
        model="model",
        version="3",
        digest=DIGEST,
        key_id="cd" * 32,
        size=1,
        handle=handle,
        output_dtypes={spec.name: spec.dtype for spec in handle.signature.outputs},
    )


@dataclass(slots=True, kw_only=True)
class Pair:
    """A runner and an API worker's handle of it."""

    model: ManualHandle
    server: RunnerServer
    handle: RemoteHandle
    path: Path
    attached: LoadedModel


@asynccontextmanager
async def connected(
    folder: Path,
    *,
    model: ManualHandle | None = None,
    limits: WireLimits | None = None,
    max_wait_s: float = 30.0,
) -> AsyncIterator[Pair]:
    """Serves a model on a socket below ``folder`` and attaches to it."""
    bounds, path = limits or WireLimits(), folder / "run" / "runner.sock"
    manual = model or ManualHandle()
    server = RunnerServer(loaded(manual), Listener(path), limits=bounds)
    try:
        attached = await attach(path, limits=bounds, max_wait_s=max_wait_s, within_s=10)
        handle = attached.handle
        assert isinstance(handle, RemoteHandle)
        try:
            yield Pair(model=manual, server=server, handle=handle, path=path, attached=attached)
        finally:
            await handle.close()
    finally:
        await server.close(drain_s=1)
