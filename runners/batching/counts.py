# SPDX-License-Identifier: Apache-2.0
"""What is counted of one model's batching: metrics for a scrape, statistics for the Open Inference Protocol."""

from __future__ import annotations

import time
from collections.abc import Callable

from core.telemetry import metrics
from core.telemetry.hot import Bins, Level, Tally
from runners.batching.work import Batch, Work
from runners.statistics import Counted, ModelStatistics

_NS = 1_000_000_000


class Counts:
    """Counters of one model.

    Args:
        label: The model.
        rows_waiting: Tells how many rows wait.
        running: Tells how many executions are in flight.
    """

    def __init__(self, label: str, *, rows_waiting: Callable[[], int], running: Callable[[], int]) -> None:
        self.statistics = ModelStatistics()
        self._queue_seconds = Bins(metrics.QUEUE_SECONDS.labels(label))
        self._batch_seconds = Bins(metrics.BATCH_SECONDS.labels(label))
        self._batch_rows = Bins(metrics.BATCH_ROWS.labels(label))
        self._padding = Tally(metrics.PADDING.labels(label))
        self._levels = (
            Level(metrics.QUEUE_ROWS.labels(label), rows_waiting),
            Level(metrics.EXECUTIONS.labels(label), running),
        )

    def started(self, batch: Batch, now: float) -> None:
        """A batch begins; its requests waited until ``now``."""
        waited = 0.0
        observe = self._queue_seconds.observe
        for work in batch.work:
            seconds = now - work.arrived
            observe(seconds)
            waited += seconds
        self.statistics.queue.add(int(waited * _NS), len(batch.work))

    def executed(self, batch: Batch) -> None:
        """A batch gave a result."""
        ns, rows = int(batch.seconds * _NS), batch.rows
        statistics = self.statistics
        statistics.execution_count += 1
        statistics.inference_count += rows
        statistics.last_inference_ms = time.time_ns() // 1_000_000
        statistics.compute.add(ns * len(batch.work), len(batch.work))
        of_size = statistics.batches.get(rows)
        if of_size is None:
            of_size = statistics.batches[rows] = Counted()
        of_size.add(ns)
        self._batch_seconds.observe(batch.seconds)
        self._batch_rows.observe(rows)
        if batch.work[0].length and len(batch.work) > 1:
            padding = batch.units - sum([work.units for work in batch.work])
            if padding:
                self._padding.add(padding)

    def answered(self, requests: int, seconds: float) -> None:
        """Requests were answered, after ``seconds`` in all since they arrived."""
        self.statistics.success.add(int(seconds * _NS), requests)

    def failed(self, work: Work, now: float) -> None:
        """A request ended with an error."""
        self.statistics.fail.add(int((now - work.arrived) * _NS))

    def refused(self) -> None:
        """A request was not queued at all."""
        self.statistics.fail.add(0)

    def given_up(self, work: Work, now: float) -> None:
        """Nobody waited for a request any more."""
        self.statistics.cancel.add(int((now - work.arrived) * _NS))

    def close(self) -> None:
        """Ends the gauges."""
        for level in self._levels:
            level.close()
