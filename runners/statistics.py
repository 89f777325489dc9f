# SPDX-License-Identifier: Apache-2.0
"""What is counted of one loaded model, as the statistics extension of the Open Inference Protocol reports it."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(slots=True)
class Counted:
    """How often something happened and how long it took in all."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int, count: int = 1) -> None:
        self.count += count
        self.ns += ns


@dataclass(slots=True)
class ModelStatistics:
    """Counters since the model was loaded."""

    success: Counted = field(default_factory=Counted)  # requests answered, from arrival to result
    fail: Counted = field(default_factory=Counted)  # requests that ended with an error
    cancel: Counted = field(default_factory=Counted)  # requests nobody waited for any more
    queue: Counted = field(default_factory=Counted)  # waiting for a batch, per request
    compute: Counted = field(default_factory=Counted)  # in the runtime, per request
    inference_count: int = 0  # rows
    execution_count: int = 0  # batches
    last_inference_ms: int = 0  # since the epoch
    batches: dict[int, Counted] = field(default_factory=dict)  # by rows
