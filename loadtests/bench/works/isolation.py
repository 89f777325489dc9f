# SPDX-License-Identifier: Apache-2.0
"""What it costs that a model has a process of its own."""

from __future__ import annotations

from typing import Final

from loadtests.bench.contenders import ours
from loadtests.bench.wire import BINARY_V2, JSON_V2, Wire
from loadtests.bench.work import Goal, Work

_PROCESS: Final = "process"


def _work(model: str, title: str, wire: Wire, *, warm_s: float) -> Work:
    levels = (1, 16, 64)
    return Work(
        name=f"isolation-{model}",
        title=title,
        about="One API worker; the model in its threads (thread) or in a process of its own (process).",
        level="connections",
        levels=levels,
        contenders=(
            ours.over_http(model, wire=wire, name=_PROCESS, settings={"FUROSHIKI_ISOLATION__MODE": "process"}),
            ours.over_http(model, wire=wire, name="thread", settings={"FUROSHIKI_ISOLATION__MODE": "thread"}),
        ),
        goals=tuple(
            Goal(metric="per_second", at=level, of=_PROCESS, against=("thread",), least=least)
            for level, least in zip(levels, (0.7, 0.85, 0.9), strict=True)
        ),
        warm_s=warm_s,
        warm_level=16,
    )


WORKS: Final = (
    _work("mlp", "MLP 64-256-256-10, JSON, process against thread", JSON_V2, warm_s=1.0),
    _work("mobilenet", "MobileNetV2, binary, process against thread", BINARY_V2, warm_s=4.0),
)
