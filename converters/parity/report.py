# SPDX-License-Identifier: Apache-2.0
"""What a comparison of a converted model with its source found: measured numbers, the bounds they had to keep, the verdict.

A report is plain data: it travels as JSON, is signed as RFC 8785 JSON (so every float is finite), is stored beside the
variant and read by ``furo report`` and by the choice of a variant. It never says "good" without the number and the bound.

Definitions, for all outputs together the worst of each:

* error: ``|candidate - source|`` of one value; ``max_abs`` the largest, ``mean_abs`` the mean.
* ``cosine``: mean over rows of the cosine between the row of the source and the row of the candidate, flattened.
* ``top1_agreement``: share of rows whose largest class is the same; for outputs of integers or strings, whose values are
  all equal.
* ``clipped``: values the candidate cannot represent: source values outside the range of a quantized input or output.
* latency: medians of single executions, source and candidate in turns, so that a slow moment of the machine hits both.
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

MAX_REASONS: Final = 32

Share = Annotated[float, msgspec.Meta(ge=0.0, le=1.0)]
Cosine = Annotated[float, msgspec.Meta(ge=-1.0, le=1.0)]
Amount = Annotated[float, msgspec.Meta(ge=0.0)]
Count = Annotated[int, msgspec.Meta(ge=0)]

Verdict = Literal["accepted", "rejected"]


class _Strict(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Unknown fields are an error, not an extension point."""


class Thresholds(_Strict, frozen=True, kw_only=True):
    """The bounds a candidate must keep. None: not judged."""

    max_relative: Amount | None = None  # max_abs over the largest absolute value of that output of the source, at most
    mean_relative: Amount | None = None  # mean_abs over the mean absolute value of that output of the source, at most
    cosine: Cosine | None = None  # at least
    top1_agreement: Share | None = None  # at least; of class scores judged only where labels say that they are
    metric_drop: Share | None = None  # at most this much less than the source's metric


class Inputs(_Strict, frozen=True, kw_only=True):
    """What both models were run on."""

    n: Count  # rows in all
    calibration: Count  # of them, from the calibration data
    random: Count  # of them, seeded random
    batches: tuple[Count, ...]  # rows of the candidate's executions: 1 and N, or the only size it takes
    kinds: dict[str, str]  # input name to how its random values were drawn: "normal", "token", "mask", …
    seed: int


class Metric(_Strict, frozen=True, kw_only=True):
    """The task's own measure on labelled rows."""

    name: str  # "accuracy"
    source: Share
    value: Share
    rows: Count


class OutputFidelity(_Strict, frozen=True, kw_only=True):
    """One output's distance from the source."""

    name: str
    max_abs: Amount
    mean_abs: Amount
    max_relative: Amount
    mean_relative: Amount
    cosine: Cosine
    top1_agreement: Share | None  # None: not class scores, nor discrete


class Latency(_Strict, frozen=True, kw_only=True):
    """Interleaved medians of one execution, in milliseconds; TensorFlow and JAX use threads of their own, the others one.

    A source that takes other sizes only is measured with its own, and its time is scaled to these rows.
    """

    rows: Count
    source_ms: Amount
    ms: Amount


class Histogram(_Strict, frozen=True, kw_only=True):
    """Absolute errors by order of magnitude."""

    edges: tuple[float, ...]  # log10 of the bounds of the bins, one more than counts
    counts: tuple[Count, ...]
    zeros: Count  # values without any error


class Report(_Strict, frozen=True, kw_only=True):
    """The comparison of one candidate with its source."""

    variant: str  # of the candidate, "<format>-<precision>/<device>"
    source: str  # variant of the source
    precision: str
    inputs: Inputs
    max_abs: Amount
    mean_abs: Amount
    cosine: Cosine
    top1_agreement: Share | None  # None: no output has classes
    metric: Metric | None  # None: the calibration data has no labels
    clipped: Count | None  # None: neither inputs nor outputs are quantized
    non_finite: Count  # values that are NaN or infinite where the source's are not
    outputs: tuple[OutputFidelity, ...]
    source_bytes: Count
    bytes: Count
    latency: tuple[Latency, ...]  # one per size in inputs.batches
    thresholds: Thresholds
    verdict: Verdict
    reasons: Annotated[tuple[str, ...], msgspec.Meta(max_length=MAX_REASONS)]  # why it was rejected; empty: accepted
    notes: tuple[str, ...] = ()  # what a reader should know besides: not batched, dtype of an output changed, …
    histogram: Histogram
    versions: dict[str, str]  # runtimes, numpy, the CPU: what these numbers depend on

    @property
    def accepted(self) -> bool:
        """Whether the candidate may be served."""
        return self.verdict == "accepted"

    @property
    def ratio(self) -> float:
        """How many times smaller the candidate is."""
        return self.source_bytes / max(1, self.bytes)

    @property
    def smallest_batch(self) -> Latency | None:
        """The latency of the fewest rows that were measured; None: none was."""
        return min(self.latency, key=lambda each: each.rows, default=None)

    @property
    def largest_batch(self) -> Latency | None:
        """The latency of the most rows that were measured; None: none was."""
        return max(self.latency, key=lambda each: each.rows, default=None)
