# SPDX-License-Identifier: Apache-2.0
"""Compares a candidate with its source: runs both, measures, judges.

A candidate that differs too much is rejected, and so is one that cannot be loaded or run: that is a result, with a report
that says why. Only a source that cannot be run is an error, since then nothing was learned about the candidate.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from converters.parity import metrics
from converters.parity.data import SEED, Data
from converters.parity.environment import versions
from converters.parity.fidelity import Ran, fidelity, metric_of, short
from converters.parity.interface import LoadedModel
from converters.parity.matching import match, renamed
from converters.parity.report import MAX_REASONS, Inputs, Latency, Report, Thresholds
from converters.parity.running import Step, feed, interleaved, run_rows, steps
from converters.parity.thresholds import broken
from core.clock import Clock, SystemClock
from core.tensors import Array

_SINGLE_ROWS = 12  # compared at the smallest size besides all rows at the largest
_MAX_REASON = 500


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A variant and its loaded model."""

    variant: str  # "<format>-<precision>/<device>"
    model: LoadedModel
    bytes: int  # of its files

    @property
    def precision(self) -> str:
        """What the variant's name says."""
        return precision_of(self.variant)


def precision_of(variant: str) -> str:
    """The precision in a variant's name: "int8" in "tflite-int8/cpu"."""
    return variant.partition("/")[0].rpartition("-")[2]


def compare(source: Side, candidate: Side, data: Data, thresholds: Thresholds, *, clock: Clock | None = None) -> Report:
    """The comparison of two loaded models. Blocks for seconds.

    Args:
        source: What it was made from.
        candidate: What is judged.
        data: Rows that the source can process.
        thresholds: The bounds.
        clock: Tells the time; None: the system's.

    Raises:
        Exception: The source could not be run.
    """
    names = {spec.name: spec.name for spec in source.model.signature.inputs}
    first = steps(source.model.sizes, source.model.sizes)[0]
    run_rows(source.model, _head(data, 1), names, size=first.source)
    try:
        ran = _run(source, candidate, data, clock or SystemClock())
    except Exception as error:
        reason = f"It could not be run: {_text(error)}"
        return rejected(source, candidate.variant, reason, size=candidate.bytes, data=data, thresholds=thresholds)
    return _judged(source, candidate, data, thresholds, ran)


def rejected(source: Side, variant: str, reason: str, *, size: int, data: Data, thresholds: Thresholds) -> Report:
    """The report of a candidate that could not be compared: nothing was measured, so it has no outputs and cosine 0."""
    return Report(
        variant=variant,
        source=source.variant,
        precision=precision_of(variant),
        inputs=_inputs(data, ()),
        max_abs=0.0,
        mean_abs=0.0,
        cosine=0.0,
        top1_agreement=None,
        metric=None,
        clipped=None,
        non_finite=0,
        outputs=(),
        source_bytes=source.bytes,
        bytes=size,
        latency=(),
        thresholds=thresholds,
        verdict="rejected",
        reasons=(reason[:_MAX_REASON],),
        histogram=metrics.histogram(np.zeros(0)),
        versions=versions(source.model.runtime),
    )


def _run(source: Side, candidate: Side, data: Data, clock: Clock) -> Ran:
    theirs = match(source.model.signature.inputs, candidate.model.signature.inputs, what="input")
    outputs = match(source.model.signature.outputs, candidate.model.signature.outputs, what="output")
    ours = {name: name for name in theirs}
    found: list[tuple[dict[str, Array], dict[str, Array]]] = []
    latency: list[Latency] = []
    plan = steps(source.model.sizes, candidate.model.sizes)
    for number, step in enumerate(plan):
        arrays = data.arrays if number == len(plan) - 1 else _spread(data, _SINGLE_ROWS)
        a = run_rows(source.model, arrays, ours, size=step.source)
        b = renamed(run_rows(candidate.model, arrays, theirs, size=step.candidate), outputs)
        _same_shapes(a, b)
        found.append((a, b))
        latency.append(_latency(source, candidate, data, step, theirs=theirs, clock=clock))
    return Ran(
        source=_joined([a for a, _ in found]),
        candidate=_joined([b for _, b in found]),
        whole_source=found[-1][0],
        whole_candidate=found[-1][1],
        latency=tuple(latency),
    )


def _latency(
    source: Side, candidate: Side, data: Data, step: Step, *, theirs: Mapping[str, str], clock: Clock
) -> Latency:
    a = feed(source.model, data.arrays, {name: name for name in theirs}, start=0, size=step.source)
    b = feed(candidate.model, data.arrays, theirs, start=0, size=step.candidate)
    first, second = interleaved(lambda: source.model.run(a), lambda: candidate.model.run(b), clock=clock)
    scaled = first * step.candidate / step.source
    return Latency(rows=step.candidate, source_ms=short(scaled * 1e3), ms=short(second * 1e3))


def _judged(source: Side, candidate: Side, data: Data, thresholds: Thresholds, ran: Ran) -> Report:
    outputs = tuple(fidelity(name, ran, data) for name in ran.source)
    metric = metric_of(ran, data)
    discrete = {name for name, array in ran.source.items() if metrics.is_discrete(array)}
    lost = sum(metrics.non_finite(ran.source[name], ran.candidate[name]) for name in _numeric(ran.source))
    reasons = broken(outputs, metric, thresholds, labelled=data.labels is not None, discrete=discrete)
    if lost:
        reasons = (f"{lost} values are NaN or infinite where the source's are not.", *reasons)
    agreements = [each.top1_agreement for each in outputs if each.top1_agreement is not None]
    differences = [metrics.errors(ran.source[name], ran.candidate[name]) for name in _numeric(ran.source)]
    return Report(
        variant=candidate.variant,
        source=source.variant,
        precision=candidate.precision,
        inputs=_inputs(data, tuple(each.rows for each in ran.latency)),
        max_abs=max((each.max_abs for each in outputs), default=0.0),
        mean_abs=max((each.mean_abs for each in outputs), default=0.0),
        cosine=min((each.cosine for each in outputs), default=1.0),
        top1_agreement=min(agreements, default=None),
        metric=metric,
        clipped=_clipped(source, candidate, data, ran),
        non_finite=lost,
        outputs=outputs,
        source_bytes=source.bytes,
        bytes=candidate.bytes,
        latency=ran.latency,
        thresholds=thresholds,
        verdict="rejected" if reasons else "accepted",
        reasons=reasons[:MAX_REASONS],
        notes=_notes(source, candidate, data),
        histogram=metrics.histogram(np.concatenate(differences) if differences else np.zeros(0)),
        versions=versions(source.model.runtime, candidate.model.runtime),
    )


def _clipped(source: Side, candidate: Side, data: Data, ran: Ran) -> int | None:
    ranges = candidate.model.ranges
    if not ranges:
        return None
    inputs = match(source.model.signature.inputs, candidate.model.signature.inputs, what="input")
    outputs = match(source.model.signature.outputs, candidate.model.signature.outputs, what="output")
    values = [(theirs, data.arrays[name]) for name, theirs in inputs.items()]
    values += [(theirs, ran.source[name]) for name, theirs in outputs.items()]
    return sum(metrics.clipped(array, ranges[theirs]) for theirs, array in values if theirs in ranges)


def _notes(source: Side, candidate: Side, data: Data) -> tuple[str, ...]:
    notes = []
    if not data.calibration:
        notes.append("Compared on random inputs only: give calibration data to compare on real ones.")
    if source.model.sizes is None and candidate.model.sizes is not None:
        sizes = ", ".join(map(str, candidate.model.sizes)) or "none"
        notes.append(f"The source takes any number of rows, this takes: {sizes}.")
    ours = [spec.dtype.oip for spec in source.model.signature.inputs]
    theirs = [spec.dtype.oip for spec in candidate.model.signature.inputs]
    if sorted(ours) != sorted(theirs):
        notes.append(f"Input datatypes changed from {', '.join(ours)} to {', '.join(theirs)}.")
    return tuple(notes)


def _inputs(data: Data, batches: tuple[int, ...]) -> Inputs:
    return Inputs(
        n=data.rows,
        calibration=data.calibration,
        random=data.random,
        batches=batches,
        kinds=dict(data.kinds),
        seed=SEED,
    )


def _same_shapes(a: Mapping[str, Array], b: Mapping[str, Array]) -> None:
    for name, array in a.items():
        if array.shape != b[name].shape:
            raise ValueError(f"output {name!r} has shape {list(b[name].shape)}, the source's has {list(array.shape)}")


def _head(data: Data, rows: int) -> dict[str, Array]:
    return {name: array[:rows] for name, array in data.arrays.items()}


def _spread(data: Data, count: int) -> dict[str, Array]:
    """Some rows, evenly from all: real and random ones."""
    chosen = np.unique(np.linspace(0, data.rows - 1, count).astype(np.int64))
    return {name: array[chosen] for name, array in data.arrays.items()}


def _joined(parts: list[dict[str, Array]]) -> dict[str, Array]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _numeric(arrays: Mapping[str, Array]) -> list[str]:
    return [name for name, array in arrays.items() if array.dtype.kind not in "OSU"]


def _text(error: Exception) -> str:
    return " ".join((str(error) or repr(error)).split())
