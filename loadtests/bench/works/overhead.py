# SPDX-License-Identifier: Apache-2.0
"""What an idle server adds to one call of the runtime."""

from __future__ import annotations

from typing import Final

from loadtests.bench.contenders import ours, triton
from loadtests.bench.contenders.runtime import onnxruntime
from loadtests.bench.work import Goal, Work

_CALL: Final = "onnxruntime call"

WORK: Final = Work(
    name="overhead",
    title="MLP 64-256-256-10, one row, one connection: time added to the runtime's own",
    about="The median of one request after another over one connection, less the median of the same call in process.",
    level="connections",
    levels=(1,),
    contenders=(
        ours.over_http("mlp"),
        triton.over_http("mlp"),
        onnxruntime("mlp", name=_CALL),
    ),
    goals=(Goal(metric="p50_ms", at=1, against=(_CALL,), compare="difference", most=0.25, unit=" ms"),),
    columns=("p50_ms", "p99_ms", "errors"),
)
