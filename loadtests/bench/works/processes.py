# SPDX-License-Identifier: Apache-2.0
"""What it costs that the runner, or each model, is a process of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from loadtests.bench.contenders import ours
from loadtests.bench.wire import BINARY_V2, JSON_V2, Wire
from loadtests.bench.work import Goal, Work


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """A setting, and what it is called with a process more and without."""

    name: str
    setting: str
    apart: str
    together: str
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Model:
    name: str
    title: str
    wire: Wire
    warm_s: float


_SPLIT: Final = _Way(
    name="split",
    setting="FUROSHIKI_TOPOLOGY",
    apart="split",
    together="embedded",
    about="One API worker; the runner inside it (embedded) or in a process of its own behind a Unix socket (split).",
)
_ISOLATION: Final = _Way(
    name="isolation",
    setting="FUROSHIKI_ISOLATION__MODE",
    apart="process",
    together="thread",
    about="One API worker; the model in its threads (thread) or in a process of its own (process).",
)
_MLP: Final = _Model(name="mlp", title="MLP 64-256-256-10, JSON", wire=JSON_V2, warm_s=1.0)
_MOBILENET: Final = _Model(name="mobilenet", title="MobileNetV2, binary", wire=BINARY_V2, warm_s=4.0)
_LEAST: Final = {1: 0.7, 16: 0.85, 64: 0.9}  # of what a model does in threads, by connections


def _work(way: _Way, model: _Model, levels: Sequence[int], least: Mapping[int, float]) -> Work:
    return Work(
        name=f"{way.name}-{model.name}",
        title=f"{model.title}, {way.apart} against {way.together}",
        about=way.about,
        level="connections",
        levels=levels,
        contenders=tuple(
            ours.over_http(model.name, wire=model.wire, name=mode, settings={way.setting: mode})
            for mode in (way.apart, way.together)
        ),
        goals=tuple(
            Goal(metric="per_second", at=level, of=way.apart, against=(way.together,), least=share)
            for level, share in least.items()
        ),
        warm_s=model.warm_s,
        warm_level=16,
    )


WORKS: Final = (
    _work(_SPLIT, _MLP, (1, 64), {64: 0.9}),
    _work(_SPLIT, _MOBILENET, (4, 16), {16: 0.9}),
    _work(_ISOLATION, _MLP, (1, 16, 64), _LEAST),
    _work(_ISOLATION, _MOBILENET, (1, 16, 64), _LEAST),
)
