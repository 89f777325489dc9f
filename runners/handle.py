# SPDX-License-Identifier: Apache-2.0
"""A loaded model as the data plane sees it: asynchronous, batched, the same whether the runner is in this process or not."""

from __future__ import annotations

import asyncio
from typing import Final, Protocol

from core.inference import InferenceRequest
from core.telemetry.logs import get_logger
from core.tensors import Array, Signature
from runners.batching.batcher import Batcher
from runners.batching.cores import Cores
from runners.batching.options import BatchOptions
from runners.batching.policy import BatchLimits
from runners.batching.waiting import Ticket
from runners.batching.work import Done, Outcome
from runners.interface import Runner, RunnerOptions
from runners.statistics import ModelStatistics

__all__ = ["Done", "EmbeddedHandle", "Outcome", "RunnerHandle", "Ticket"]

_STOP_S: Final = 5.0  # how long an execution that was asked to stop may take

log = get_logger(__name__)


class RunnerHandle(Protocol):
    """What the data plane holds of a model."""

    @property
    def runner(self) -> str:
        """The runner's name, for example ``onnx-cpu``."""
        ...

    @property
    def signature(self) -> Signature:
        """The tensors as callers see them; see :meth:`runners.batching.options.BatchOptions.served`."""
        ...

    @property
    def ready(self) -> bool:
        """Whether a request would be run now."""
        ...

    def submit(self, request: InferenceRequest, done: Done) -> Ticket:
        """Queues one request; see :meth:`runners.batching.batcher.Batcher.submit`."""
        ...

    async def infer(self, request: InferenceRequest) -> dict[str, Array]:
        """Runs one request; see :meth:`runners.batching.batcher.Batcher.infer`."""
        ...

    def statistics(self) -> ModelStatistics:
        """What was counted since the model was loaded."""
        ...

    async def drain(self) -> None:
        """Refuses new requests and returns when the accepted ones have ended."""
        ...

    async def close(self) -> None:
        """Fails what still waits and frees the model's memory. May be called twice."""
        ...


class EmbeddedHandle:
    """A runner inside this process.

    Args:
        runner: The loaded runner; closed with the handle.
        limits: Bounds of its queue.
        options: Threads and instances it was loaded with.
        label: The model, for metrics and messages.
        batching: What the model declares about its batches; None: nothing.
        cores: Shared with the other models of the device; None: the device is this model's alone.
        tenant: Whose model it is, for ``cores``.
    """

    def __init__(
        self,
        runner: Runner,
        *,
        limits: BatchLimits,
        options: RunnerOptions,
        label: str,
        batching: BatchOptions | None = None,
        cores: Cores | None = None,
        tenant: str = "",
    ) -> None:
        self.runner = runner.name
        self._runner = runner
        self._label = label
        self._batcher = Batcher(
            runner,
            limits=limits,
            instances=options.instances,
            label=label,
            options=batching,
            cores=cores,
            owner=tenant,
        )
        self.signature = self._batcher.signature
        self.submit = self._batcher.submit
        self.infer = self._batcher.infer
        self.drain = self._batcher.drain

    @property
    def ready(self) -> bool:
        return not self._batcher.closed

    def statistics(self) -> ModelStatistics:
        return self._batcher.statistics

    async def close(self) -> None:
        self._batcher.close()
        if not await asyncio.to_thread(self._batcher.join, _STOP_S):
            log.error("execution_does_not_stop", model=self._label, waited_s=_STOP_S)
        self._runner.close()
