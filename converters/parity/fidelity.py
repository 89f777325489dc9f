# SPDX-License-Identifier: Apache-2.0
"""How far the outputs of one run are from those of another, output by output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from converters.parity import metrics
from converters.parity.data import Data
from converters.parity.report import Latency, Metric, OutputFidelity
from core.tensors import Array


@dataclass(frozen=True, slots=True, kw_only=True)
class Ran:
    """Outputs of both by the source's names. ``whole`` is the run over all rows, ``all`` that and the single rows."""

    source: Mapping[str, Array]
    candidate: Mapping[str, Array]
    whole_source: Mapping[str, Array]
    whole_candidate: Mapping[str, Array]
    latency: tuple[Latency, ...]


def fidelity(name: str, ran: Ran, data: Data) -> OutputFidelity:
    """The measures of one output."""
    a, b = ran.source[name], ran.candidate[name]
    share = _agreement(ran.whole_source[name], ran.whole_candidate[name], data)
    if a.dtype.kind in "OSU":
        same = float(np.mean(a == b)) if a.size else 1.0
        return OutputFidelity(
            name=name, max_abs=0.0, mean_abs=0.0, max_relative=0.0, mean_relative=0.0, cosine=same, top1_agreement=share
        )
    differences, (largest, mean) = metrics.errors(a, b), metrics.scale(a)
    max_abs = float(differences.max()) if differences.size else 0.0
    mean_abs = float(differences.mean()) if differences.size else 0.0
    return OutputFidelity(
        name=name,
        max_abs=short(max_abs),
        mean_abs=short(mean_abs),
        max_relative=short(metrics.relative(max_abs, largest)),
        mean_relative=short(metrics.relative(mean_abs, mean)),
        cosine=metrics.cosine(a, b),
        top1_agreement=share,
    )


def _agreement(a: Array, b: Array, data: Data) -> float | None:
    """Of classes on the calibration rows where there are any: between random rows the nearest class is an accident."""
    if not metrics.has_classes(a) and not metrics.is_discrete(a):
        return None
    rows = data.calibration if data.calibration and len(a) == data.rows else len(a)
    return metrics.agreement(a[:rows], b[:rows])


def metric_of(ran: Ran, data: Data) -> Metric | None:
    """Accuracy of the first output that can be classes, on the labelled rows."""
    labels = data.labels
    if labels is None:
        return None
    for name, a in ran.whole_source.items():
        if len(a) == data.rows and (metrics.has_classes(a) or (metrics.is_discrete(a) and a.ndim == 1)):
            before = metrics.accuracy(a[: len(labels)], labels)
            after = metrics.accuracy(ran.whole_candidate[name][: len(labels)], labels)
            return Metric(name="accuracy", source=before, value=after, rows=len(labels))
    return None


def short(value: float) -> float:
    """Six significant digits: more are noise."""
    return float(f"{value:.6g}")
