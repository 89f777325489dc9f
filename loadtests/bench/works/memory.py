# SPDX-License-Identifier: Apache-2.0
"""What the worker holds in memory."""

from __future__ import annotations

from typing import Final

from loadtests.bench.contenders.memory import worker_memory
from loadtests.bench.work import Goal, Work

WORK: Final = Work(
    name="memory",
    title="Resident memory of the worker",
    about=(
        "What serving all-MiniLM-L6-v2 holds beyond what serving the small MLP holds, per byte of its file, and the bytes "
        "gained per request over 100,000 requests to the MLP at 64 connections."
    ),
    level="requests",
    levels=(100_000,),
    contenders=(worker_memory(small="mlp", large="minilm"),),
    goals=(
        Goal(metric="model_factor", compare="value", most=1.3, unit=" x the file"),
        Goal(metric="slope_bytes", compare="value", most=20.0, unit=" bytes per request"),
    ),
    columns=("runtime_mb", "model_mb", "loaded_mb", "model_factor", "gain_mb", "slope_bytes", "errors"),
    warm_s=0.0,
)
