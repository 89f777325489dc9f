# SPDX-License-Identifier: Apache-2.0
"""A model in its own process, with the face of one in this process.

Queue and batches are here, executions there. So a process that ends takes with it only what it was executing: those requests
get ``MODEL_002`` at once and may be sent again; what waits is executed by the next process, or ends at its deadline. Until
that process is there new requests are refused with ``MODEL_002`` and the model is not ready. Other models are not touched.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

from artifacts.manifest import Manifest
from core.errors import ErrorCode, Unavailable
from core.inference import InferenceRequest
from core.telemetry import metrics
from core.telemetry.hot import Level
from core.telemetry.logs import get_logger
from core.tensors import Array
from runners.batching.batcher import Batcher
from runners.batching.cores import Cores
from runners.batching.options import BatchOptions
from runners.batching.policy import BatchLimits
from runners.batching.waiting import Ticket, wait_for
from runners.batching.work import Done
from runners.interface import RunnerOptions
from runners.isolation.process import ModelProcess
from runners.remote.handle import RemoteHandle
from runners.statistics import ModelStatistics

_LOOKS: Final = 4  # in the time after which a process that hangs is ended

log = get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Queueing:
    """How a model's requests wait and are put together; see :class:`runners.batching.batcher.Batcher`."""

    limits: BatchLimits
    options: RunnerOptions
    batching: BatchOptions
    cores: Cores | None


class IsolatedHandle:
    """A running process and the queue of its model; see :func:`runners.isolation.opening.isolate`.

    Args:
        process: Closed with the handle.
        remote: Its connection; closed with the handle.
        manifest: Of the model.
        queueing: What the batcher is made with.
        hang_s: Seconds without a sign of life after which the process is ended.
    """

    def __init__(
        self, process: ModelProcess, remote: RemoteHandle, *, manifest: Manifest, queueing: Queueing, hang_s: float
    ) -> None:
        self.runner = remote.runner
        self._process = process
        self._remote = remote
        self._label = str(manifest.ref)
        self._batcher = Batcher(
            remote,
            limits=queueing.limits,
            instances=queueing.options.instances,
            label=self._label,
            options=queueing.batching,
            cores=queueing.cores,
            owner=manifest.tenant,
        )
        self.signature = self._batcher.signature
        self.drain = self._batcher.drain
        labels = (manifest.tenant, manifest.model, str(manifest.version))
        self._memory = Level(metrics.MODEL_PROCESS_BYTES.labels(*labels), lambda: process.memory)
        self._loop = asyncio.get_running_loop()
        self._look_s = hang_s / _LOOKS
        self._silent = 0  # looks in a row at which the process hung
        self._looking = self._loop.call_later(self._look_s, self._look)

    @property
    def memory(self) -> int:
        """Bytes that the process has for itself now."""
        return self._process.memory

    @property
    def ready(self) -> bool:
        return self._remote.ready and not self._batcher.closed

    def submit(self, request: InferenceRequest, done: Done) -> Ticket:
        """Queues one request; see :meth:`runners.handle.RunnerHandle.submit`.

        Raises:
            Unavailable: ``MODEL_002`` if the process is not there now.
        """
        if not self._remote.ready:
            message = f"The process of {self._label} is not available now."
            raise Unavailable(ErrorCode.MODEL_NOT_READY, message, retry_after=1.0)
        return self._batcher.submit(request, done)

    async def infer(self, request: InferenceRequest) -> dict[str, Array]:
        """Runs one request and waits for it; see :meth:`submit`."""
        return await wait_for(self.submit, request)

    def statistics(self) -> ModelStatistics:
        return self._batcher.statistics

    async def close(self) -> None:
        self._looking.cancel()
        self._batcher.close()
        self._memory.close()
        await self._remote.close()
        await self._process.close()

    def _look(self) -> None:
        """Ends a process that has hung for too long; it is then started again like one that ended."""
        self._looking = self._loop.call_later(self._look_s, self._look)
        self._silent = self._silent + 1 if self._remote.silent else 0
        if self._silent > _LOOKS:
            self._silent = 0
            log.error("model_process_hangs", model=self._label, pid=self._process.pid)
            self._process.kill()
