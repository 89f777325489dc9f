# SPDX-License-Identifier: Apache-2.0
"""Batches of a model that runs in another process: merged here, executed there, split here.

All of it happens on the event loop: no thread waits for the other process. While that process is away no batch is started;
what waits goes on waiting until it is back or its time is over. An execution nobody waits for any more is given up there, and
counts as ended here at once.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol, runtime_checkable

from core.errors import ErrorCode, OperatorError
from core.inference import InferenceRequest
from core.tensors import Array, Signature
from runners.batching.assemble import Assembler
from runners.batching.waiting import Ticket
from runners.batching.work import Batch, Done, Results


class Execution(Protocol):
    """What runs the batches of a model; see :class:`runners.executor.Executor`."""

    @property
    def ready(self) -> bool:
        """Whether a batch may be submitted now."""
        ...

    def submit(self, batch: Batch) -> None:
        """Starts a batch; how it ended is told later."""
        ...

    def close(self) -> None:
        """Takes no more batches. May be called twice."""
        ...

    def join(self, timeout: float) -> bool:
        """Waits until nothing runs, ``timeout`` seconds at most; False if something still does."""
        ...


@runtime_checkable
class Remote(Protocol):
    """A model in another process."""

    @property
    def signature(self) -> Signature:
        """The tensors it takes and gives."""
        ...

    @property
    def ready(self) -> bool:
        """Whether the process is there and gives signs of life."""
        ...

    def when_ready(self, call: Callable[[], None]) -> None:
        """Sets what is called each time it is ready again."""
        ...

    def submit(self, request: InferenceRequest, done: Done) -> Ticket:
        """Sends what is one execution there; see :meth:`runners.batching.batcher.Batcher.submit`."""
        ...


class Elsewhere:
    """Sends the batches of one model to its process.

    Args:
        remote: The process.
        assembler: Merges and splits.
        tenant: Whose model it is.
        done: Told on the loop of each batch that was submitted: its results, or the error of the whole.
    """

    def __init__(
        self,
        remote: Remote,
        assembler: Assembler,
        *,
        tenant: str,
        done: Callable[[Batch, Results | Exception], None],
    ) -> None:
        self._remote = remote
        self._assembler = assembler
        self._tenant = tenant
        self._done = done
        self._dtypes = {spec.name: spec.dtype for spec in remote.signature.inputs}
        self._loop = asyncio.get_running_loop()
        self._tickets: dict[Batch, Ticket] = {}

    @property
    def ready(self) -> bool:
        return self._remote.ready

    def submit(self, batch: Batch) -> None:
        try:
            self._tickets[batch] = self._remote.submit(self._merged(batch), partial(self._answered, batch))
        except Exception as error:
            self._loop.call_soon(self._done, batch, error)
            return
        batch.stop.on_stop(partial(self._stop, batch))

    def close(self) -> None:
        """Nothing to end: whoever gives a batch up stops it."""

    def join(self, timeout: float) -> bool:  # noqa: ARG002 -- of the port
        return not self._tickets

    def _merged(self, batch: Batch) -> InferenceRequest:
        work = batch.work
        first = work[0].request
        return InferenceRequest(
            tenant=self._tenant,
            model=first.model,
            version=first.version,
            request_id=first.request_id,
            inputs=self._assembler.merge([one.request.inputs for one in work], [one.length for one in work]),
            dtypes=self._dtypes,
        )

    def _answered(self, batch: Batch, outcome: dict[str, Array] | Exception) -> None:
        del self._tickets[batch]
        batch.seconds = time.perf_counter() - batch.began
        self._done(batch, outcome if isinstance(outcome, Exception) else self._split(batch, outcome))

    def _split(self, batch: Batch, outputs: dict[str, Array]) -> Results | Exception:
        work = batch.work
        try:
            return self._assembler.split(outputs, [one.rows for one in work], [one.length for one in work])
        except Exception as error:
            return error

    def _stop(self, batch: Batch) -> None:
        ticket = self._tickets.pop(batch, None)
        if ticket is not None:
            ticket.cancel()
            error = OperatorError(ErrorCode.INFERENCE_FAILED, "The execution was stopped.")
            self._loop.call_soon(self._done, batch, error)
