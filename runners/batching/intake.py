# SPDX-License-Identifier: Apache-2.0
"""What is queued, and what is refused at once because it could not be run in time anyway."""

from __future__ import annotations

from typing import Final

from core.errors import DeadlineExceeded, ErrorCode, FuroshikiError, InvalidRequest, Overloaded
from core.inference import InferenceRequest
from core.tensors import Signature
from runners.batching.curve import CostCurve
from runners.batching.options import BatchOptions
from runners.batching.policy import BatchLimits
from runners.batching.queue import BatchQueue
from runners.batching.shapes import Measured, measure_of
from runners.batching.sizing import Sizing
from runners.batching.work import Work

_RETRY_S: Final = 1.0  # after which a retry is sensible while nothing was learned yet
_LEAST_RETRY_S: Final = 0.01
_TRIED: Final = 16  # of so many hopeless requests one is run all the same


class Intake:
    """Decides about requests before they wait.

    Args:
        signature: The model's, as callers see it.
        options: What the model declares.
        limits: Bounds of the queue.
        queue: Where requests wait.
        curve: What is known of the model's cost.
        sizing: Chooses batch sizes.
        label: The model, for messages.
    """

    def __init__(
        self,
        signature: Signature,
        options: BatchOptions,
        limits: BatchLimits,
        *,
        queue: BatchQueue,
        curve: CostCurve,
        sizing: Sizing,
        label: str,
    ) -> None:
        self.measure = measure_of(signature, options)
        self._most_rows = min(limits.max_request_rows, options.most or limits.max_request_rows)
        self._max_wait_s = limits.max_wait_s
        self._deep = limits.max_rows  # rows waiting below which a wait is not reckoned
        self._queue = queue
        self._curve = curve
        self._sizing = sizing
        self._label = label
        self._hopeless = 0  # deadlines that looked out of reach

    def check(self, request: InferenceRequest, measured: Measured, now: float) -> None:
        """Raises unless a request may wait.

        Raises:
            InvalidRequest: ``VALID_003`` if one request may not bring as many rows.
            Overloaded: ``QUEUE_001`` if the queue or the tenant's share of it is full, or it is too long.
            DeadlineExceeded: ``TIMEOUT_001`` if the deadline is sure to pass first.
        """
        _, rows, size, units, _ = measured
        queue = self._queue
        if rows > self._most_rows:
            raise InvalidRequest(
                ErrorCode.TOO_LARGE, f"The request has {rows} rows; the limit of {self._label} is {self._most_rows}."
            )
        reason = queue.refusal(request.tenant, rows, size)
        if reason is not None:
            raise Overloaded(ErrorCode.QUEUE_FULL, reason, retry_after=self.retry_after())
        if request.deadline is not None:
            self._check_deadline(request, units, request.deadline - now)
        elif queue.rows > self._deep:
            self._check_wait(request)

    def hopeless(self, work: Work, now: float) -> FuroshikiError | None:
        """The error of a request that would miss its deadline even if it ran alone from now on; None: it may meet it."""
        deadline = work.request.deadline
        if deadline is None or not self._curve.confident:
            return None
        least = self._curve.least(work.units)
        if least is None or now + least <= deadline:
            return None
        self._hopeless += 1
        if self._hopeless % _TRIED == 0:
            return None  # otherwise a model that became faster would never be found out
        return _late(least, deadline - now, self.retry_after())

    def retry_after(self) -> float:
        """Seconds until what waits now has been executed, as far as is known."""
        seconds = self._sizing.wait_s(self._queue.units)
        return _RETRY_S if seconds is None else max(seconds, _LEAST_RETRY_S)

    def _check_deadline(self, request: InferenceRequest, units: int, left: float) -> None:
        if left <= 0:
            raise DeadlineExceeded(
                ErrorCode.TIMEOUT, "The deadline has passed already.", retry_after=self.retry_after()
            )
        wait = self._sizing.wait_s(self._queue.ahead(request.tenant, request.priority))
        if wait:  # where nothing is ahead, its turn comes at once and decides
            needed = wait + (self._curve.least(units) or 0.0)
            if needed > left:
                raise _late(needed, left, self.retry_after())

    def _check_wait(self, request: InferenceRequest) -> None:
        wait = self._sizing.wait_s(self._queue.ahead(request.tenant, request.priority))
        if wait is not None and wait > self._max_wait_s:
            raise Overloaded(
                ErrorCode.QUEUE_FULL,
                f"The queue of {self._label} takes {wait:.1f} s; a request waits {self._max_wait_s:g} s at most.",
                retry_after=wait,
            )


def _late(needed: float, left: float, retry_after: float) -> DeadlineExceeded:
    return DeadlineExceeded(
        ErrorCode.TIMEOUT,
        f"The result would take {needed:.3f} s at least; the deadline is in {max(left, 0.0):.3f} s.",
        retry_after=retry_after,
    )
