# SPDX-License-Identifier: Apache-2.0
"""A loaded model as the data plane sees it: asynchronous, batched, the same whether the runner is in this process or not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final, Protocol

from core.telemetry.logs import get_logger
from core.tensors import Array, Signature
from runners.batching.batcher import Batcher
from runners.batching.policy import BatchLimits
from runners.interface import Runner, RunnerOptions

_STOP_S: Final = 5.0  # how long an execution that was asked to stop may take

log = get_logger(__name__)


class RunnerHandle(Protocol):
    """What the data plane holds of a model."""

    @property
    def runner(self) -> str:
        """The runner's name, for example ``onnx-cpu``."""
        ...

    @property
    def signature(self) -> Signature: ...

    async def infer(self, inputs: Mapping[str, Array], *, deadline: float | None = None) -> dict[str, Array]:
        """Runs one request; see :meth:`runners.batching.batcher.Batcher.infer`."""
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
    """

    def __init__(self, runner: Runner, *, limits: BatchLimits, options: RunnerOptions, label: str) -> None:
        self.runner = runner.name
        self.signature = runner.signature
        self._runner = runner
        self._label = label
        self._batcher = Batcher(runner, limits=limits, instances=options.instances, label=label)
        self.infer = self._batcher.infer
        self.drain = self._batcher.drain

    async def close(self) -> None:
        self._batcher.close()
        if not await asyncio.to_thread(self._batcher.join, _STOP_S):
            log.error("execution_does_not_stop", model=self._label, waited_s=_STOP_S)
        self._runner.close()
