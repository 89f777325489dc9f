# SPDX-License-Identifier: Apache-2.0
"""A model that costs next to nothing, in JSON: what the server itself costs."""

from __future__ import annotations

from typing import Final

from loadtests.bench.contenders import others, ours, triton
from loadtests.bench.work import Goal, Work

_RATES: Final = ((1, 2.5, 3.0), (16, 1.0, 1.2), (64, 0.9, 1.2))

WORK: Final = Work(
    name="mlp-json",
    title="MLP 64-256-256-10, one row per request, JSON",
    about='Open Inference Protocol for those that speak it, `{"x": rows}` for the others; wrk, one thread, same cores.',
    level="connections",
    levels=(1, 16, 64),
    contenders=(
        ours.over_http("mlp"),
        triton.over_http("mlp"),
        others.mlserver_http("mlp"),
        others.litserve("mlp"),
        others.ray_serve("mlp"),
        others.bentoml_batchable("mlp"),
    ),
    goals=(
        *(Goal(metric="per_second", at=at, against=("Triton",), least=least, aim=aim) for at, least, aim in _RATES),
        *(Goal(metric="p99_ms", at=at, against=("Triton",), most=1.0) for at in (1, 16, 64)),
        Goal(metric="per_second", at=64, against=("MLServer",), least=8.0),
        Goal(metric="per_second", at=64, against=("LitServe",), least=8.0),
        Goal(metric="per_second", at=64, against=("BentoML batchable",), least=15.0),
    ),
)
