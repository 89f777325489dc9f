# SPDX-License-Identifier: Apache-2.0
"""Texts of mixed lengths: short ones must not pay for long ones."""

from __future__ import annotations

from typing import Final

from loadtests.bench.contenders import others, ours, triton
from loadtests.bench.work import Goal, Work

_AS_THEY_COME: Final = ("Triton", "Triton, ragged batches", "MLServer", "LitServe", "Ray Serve", "BentoML*")
_TUNED: Final = "Triton, two instances"  # every text alone, on both cores

WORK: Final = Work(
    name="minilm",
    title="all-MiniLM-L6-v2, texts of 8 to 128 tokens, JSON",
    about=(
        "64 texts with lengths spread evenly, sent in turn. Triton batches texts of one length, or ragged ones that its "
        "model.py pads; LitServe and Ray Serve pad in user code; the batching of MLServer and BentoML concatenates, so there "
        "each text runs alone."
    ),
    level="connections",
    levels=(32,),
    contenders=(
        ours.over_http("minilm"),
        triton.over_http("minilm"),
        triton.over_http("minilm", name="Triton, ragged batches", tuning=triton.Tuning(ragged=True)),
        triton.over_http("minilm", name=_TUNED, tuning=triton.Tuning(instances=2, batching=False)),
        others.mlserver_http("minilm", batching=False),
        others.litserve("minilm"),
        others.ray_serve("minilm"),
        others.bentoml_plain("minilm"),
    ),
    goals=(Goal(metric="per_second", at=32, against=(*_AS_THEY_COME, _TUNED), least=2.0),),
    warm_s=4.0,
    warm_level=32,
    least_s=4.0,
)
