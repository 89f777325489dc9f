# SPDX-License-Identifier: Apache-2.0
"""One accepted request, from its queue to its answer.

However it ends, by a result, an error or a caller that goes away, it is counted once, gives its lease on the model back and
its place among the tenant's concurrent requests.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeAlias

from core.errors import ErrorCode, FuroshikiError
from core.inference import InferenceRequest, InferenceResponse
from core.tensors import Array
from runners.batching.waiting import Ticket
from runners.cache import LoadedModel
from services.dataplane.admission import admit
from services.dataplane.catalog.interface import Catalog
from services.dataplane.gate import Gate
from services.dataplane.meters import Meters
from services.dataplane.requestlog.log import RequestLog
from services.edge.context import Principal

Answer: TypeAlias = InferenceResponse | Exception


class Run:
    """One request to one leased model.

    Args:
        model: Leased by the caller; the run ends the lease.
        principal: Who asks; was let in by the gate, which the run tells that it ended.
        protocol: The edge it came through, for metrics.
        catalog: Takes the lease back.
        gate: Takes the place back.
        meters: Counts it.
        log: Notes it; None: nobody does.
    """

    __slots__ = (
        "_catalog",
        "_done",
        "_ended",
        "_gate",
        "_log",
        "_meters",
        "_model",
        "_outputs",
        "_principal",
        "_protocol",
        "_request",
        "_started",
        "_ticket",
    )

    _done: Callable[[Answer], None]

    def __init__(
        self,
        model: LoadedModel,
        principal: Principal,
        *,
        protocol: str,
        catalog: Catalog,
        gate: Gate,
        meters: Meters,
        log: RequestLog | None = None,
    ) -> None:
        self._model = model
        self._principal = principal
        self._protocol = protocol
        self._catalog = catalog
        self._gate = gate
        self._meters = meters
        self._log = log
        self._request: InferenceRequest | None = None
        self._ticket: Ticket | None = None
        self._started = time.perf_counter()
        self._ended = False

    def submit(self, request: InferenceRequest, done: Callable[[Answer], None]) -> Ticket:
        """Admits the request and queues it.

        Args:
            request: Decoded.
            done: Called once, later, with the result or the error; not after ``cancel``.

        Raises:
            TensorError: ``TENSOR_*`` if the request does not fit the model; see :func:`services.dataplane.admission.admit`.
            FuroshikiError: See :meth:`runners.handle.RunnerHandle.submit`.
        """
        model = self._model
        self._done = done
        self._request = request
        self._outputs = request.outputs
        try:
            admit(request, model.handle.signature, subject=model.label)
            self._ticket = model.handle.submit(request, self._finish)
        except BaseException as error:
            self.fail(error)
            raise
        return self

    def _finish(self, outcome: dict[str, Array] | Exception) -> None:
        if isinstance(outcome, Exception):
            self.fail(outcome)
            self._done(outcome)
            return
        self._leave("ok")
        if self._outputs is not None:
            outcome = {name: outcome[name] for name in self._outputs}
        model = self._model
        self._done(
            InferenceResponse(
                model=model.model,
                version=model.version,
                digest=model.digest,
                outputs=outcome,
                dtypes=model.output_dtypes,
                notice=model.notice,
            )
        )

    def cancel(self) -> None:
        """Nobody waits any more. May be called after the end."""
        if not self._ended and self._ticket is not None:
            self._ticket.cancel()
            self._leave("cancelled")

    def fail(self, error: BaseException) -> None:
        """Ends a run whose request was refused or failed."""
        self._leave(error.code if isinstance(error, FuroshikiError) else ErrorCode.INTERNAL)

    def _leave(self, code: str) -> None:
        self._ended = True
        seconds = time.perf_counter() - self._started
        self._meters.count(self._model, self._protocol, code, seconds)
        if self._log is not None:
            self._log.ended(
                self._principal,
                self._model,
                self._request,
                self._ticket,
                code=code,
                protocol=self._protocol,
                started=self._started,
                seconds=seconds,
            )
        self._gate.leave(self._principal)
        self._catalog.release(self._model)
