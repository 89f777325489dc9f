# SPDX-License-Identifier: Apache-2.0
"""What it costs that the runner is a process of its own."""

from __future__ import annotations

from typing import Final

from loadtests.bench.contenders import ours
from loadtests.bench.wire import BINARY_V2, JSON_V2, Wire
from loadtests.bench.work import Goal, Work

_SPLIT: Final = "split"


def _work(model: str, title: str, wire: Wire, levels: tuple[int, ...], *, warm_s: float) -> Work:
    return Work(
        name=f"split-{model}",
        title=title,
        about="One API worker; the runner inside it (embedded) or in a process of its own behind a Unix socket (split).",
        level="connections",
        levels=levels,
        contenders=(
            ours.over_http(model, wire=wire, name=_SPLIT, settings={"FUROSHIKI_TOPOLOGY": "split"}),
            ours.over_http(model, wire=wire, name="embedded", settings={"FUROSHIKI_TOPOLOGY": "embedded"}),
        ),
        goals=(Goal(metric="per_second", at=levels[-1], of=_SPLIT, against=("embedded",), least=0.9),),
        warm_s=warm_s,
        warm_level=16,
    )


WORKS: Final = (
    _work("mlp", "MLP 64-256-256-10, JSON, split against embedded", JSON_V2, (1, 64), warm_s=1.0),
    _work("mobilenet", "MobileNetV2, binary, split against embedded", BINARY_V2, (4, 16), warm_s=4.0),
)
