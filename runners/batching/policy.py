# SPDX-License-Identifier: Apache-2.0
"""The limits of one model's queue."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchLimits:
    """Bounds of one model's batching."""

    max_rows: int = 64  # rows merged into one execution; a larger single request runs alone
    max_request_rows: int = 4096  # rows one request may bring
    max_queue_rows: int = 4096  # rows waiting
    max_queue_bytes: int = 256 * 2**20  # input bytes waiting
    tenant_share: float = 0.75  # of what other tenants leave free of the queue, that one tenant may fill
    max_wait_s: float = 30.0  # seconds from arrival to result when the caller set no deadline
    inline_below_s: float = 0.001  # seconds; a model whose batches take less runs on the event loop; 0: never
