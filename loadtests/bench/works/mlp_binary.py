# SPDX-License-Identifier: Apache-2.0
"""The same with binary tensors: what JSON costs."""

from __future__ import annotations

from typing import Final

from loadtests.bench.contenders import ours, triton
from loadtests.bench.wire import BINARY_V2
from loadtests.bench.work import OURS, Goal, Work

_JSON: Final = f"{OURS} JSON"

WORK: Final = Work(
    name="mlp-binary",
    title="MLP 64-256-256-10, one row per request, binary tensors",
    about="The binary extension of the Open Inference Protocol both ways, beside this service's own JSON.",
    level="connections",
    levels=(1, 16, 64),
    contenders=(
        ours.over_http("mlp", wire=BINARY_V2),
        ours.over_http("mlp", name=_JSON),
        triton.over_http("mlp", wire=BINARY_V2),
    ),
    goals=tuple(Goal(metric="per_second", at=at, against=(_JSON,), least=1.3) for at in (16, 64)),
)
