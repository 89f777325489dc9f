# SPDX-License-Identifier: Apache-2.0
"""Statistics as Triton's statistics extension writes them.

What this service does not do or does not tell apart counts nothing: there is no cache of results, and preparing inputs and
taking out outputs belong to the time of the runtime.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from runners.statistics import Counted, ModelStatistics

_NOTHING = Counted()


def message(found: Sequence[tuple[str, str, ModelStatistics]]) -> dict[str, Any]:
    """The answer for models of a name, a version and their counters."""
    return {"model_stats": [_model(*entry) for entry in found]}


def _model(name: str, version: str, counted: ModelStatistics) -> dict[str, Any]:
    return {
        "name": name,
        "version": version,
        "last_inference": counted.last_inference_ms,
        "inference_count": counted.inference_count,
        "execution_count": counted.execution_count,
        "inference_stats": {
            "success": _duration(counted.success),
            "fail": _duration(counted.fail),
            "queue": _duration(counted.queue),
            **_compute(counted.compute),
            "cache_hit": _duration(_NOTHING),
            "cache_miss": _duration(_NOTHING),
        },
        "batch_stats": [{"batch_size": rows, **_compute(counted.batches[rows])} for rows in sorted(counted.batches)],
    }


def _compute(counted: Counted) -> dict[str, dict[str, int]]:
    return {
        "compute_input": _duration(_NOTHING),
        "compute_infer": _duration(counted),
        "compute_output": _duration(_NOTHING),
    }


def _duration(counted: Counted) -> dict[str, int]:
    return {"count": counted.count, "ns": counted.ns}
