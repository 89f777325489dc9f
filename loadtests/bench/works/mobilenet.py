# SPDX-License-Identifier: Apache-2.0
"""Large requests and real arithmetic: how much of the runtime's speed reaches the client."""

from __future__ import annotations

from typing import Final

from loadtests.bench.contenders import ours, triton
from loadtests.bench.contenders.runtime import onnxruntime_sweep
from loadtests.bench.wire import BINARY_V2
from loadtests.bench.work import Goal, Work

_TUNED: Final = {
    "Triton, two instances": triton.Tuning(instances=2),
    "Triton, two instances, no batching": triton.Tuning(instances=2, batching=False),
}
_BEST_TUNED: Final = "Triton, two*"

WORK: Final = Work(
    name="mobilenet",
    title="MobileNetV2 224x224 (synthetic weights), 602 KB binary tensor per request",
    about=(
        "This service as it comes, Triton as it comes and tuned by hand, and onnxruntime without any server in every "
        "combination of instances x threads and batch; the load generator shares the cores with the servers only."
    ),
    level="connections",
    levels=(4, 16),
    contenders=(
        ours.over_http("mobilenet", wire=BINARY_V2),
        triton.over_http("mobilenet", wire=BINARY_V2),
        *(triton.over_http("mobilenet", wire=BINARY_V2, name=name, tuning=tuning) for name, tuning in _TUNED.items()),
        *onnxruntime_sweep("mobilenet", instances=(1, 2), threads=(1, 2), batches=(1, 4, 8)),
    ),
    goals=(
        *(Goal(metric="per_second", at=at, against=("onnxruntime*",), least=0.88, aim=0.93) for at in (4, 16)),
        *(Goal(metric="per_second", at=at, against=(_BEST_TUNED,), least=1.1) for at in (4, 16)),
        Goal(metric="p99_ms", at=16, against=(_BEST_TUNED,), most=0.5),
    ),
    warm_s=4.0,
    warm_level=16,
)
