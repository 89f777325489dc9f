# SPDX-License-Identifier: Apache-2.0
"""The bounds of each precision, and the verdict.

Where the numbers come from. Two anchors were measured earlier: every conversion route in fp32 kept its largest error
below 3e-6, and a trained MobileNetV2 in int8 agreed on .92 to .96 of 1,000 held-out images at a cosine of .9995.
all-MiniLM-L6-v2 in dynamic int8 had .99 in one run. The rest is judgement: fp32 leaves room for other kernels and
orders of summation, fp16 and bf16 for 11 and 8 bits of significand times the depth of a network (no recipe makes bf16
yet). They are defaults: whoever knows the task sets others, and the report shows which were used.
docs/how-to/quantize-a-model.md has the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import msgspec

from converters.parity.report import Metric, OutputFidelity, Thresholds
from core.errors import ErrorCode, InvalidRequest

DEFAULTS: Final[Mapping[str, Thresholds]] = {
    "fp32": Thresholds(max_relative=1e-3, mean_relative=1e-3, cosine=0.99999, top1_agreement=0.99, metric_drop=0.005),
    "fp16": Thresholds(max_relative=5e-2, mean_relative=2e-2, cosine=0.999, top1_agreement=0.98, metric_drop=0.01),
    "bf16": Thresholds(max_relative=1e-1, mean_relative=5e-2, cosine=0.995, top1_agreement=0.97, metric_drop=0.02),
    "int8": Thresholds(mean_relative=0.25, cosine=0.98, top1_agreement=0.90, metric_drop=0.03),
    "int8dyn": Thresholds(mean_relative=0.25, cosine=0.98, top1_agreement=0.93, metric_drop=0.02),
    "int8w16a": Thresholds(mean_relative=0.10, cosine=0.995, top1_agreement=0.95, metric_drop=0.01),
}


def thresholds_for(precision: str, overrides: Mapping[str, float | None] | None = None) -> Thresholds:
    """The bounds for a precision.

    Args:
        precision: Of the candidate.
        overrides: Bounds to set by name; None as a value: not judged.

    Raises:
        InvalidRequest: ``VALID_002`` on an unknown precision or bound, or a value out of range.
    """
    found = DEFAULTS.get(precision)
    if found is None:
        raise InvalidRequest(
            ErrorCode.INVALID_FIELD, f"Unknown precision {precision[:40]!r}; expected one of {', '.join(DEFAULTS)}."
        )
    try:
        return msgspec.convert(msgspec.to_builtins(found) | dict(overrides or {}), Thresholds)
    except msgspec.ValidationError as error:
        names = ", ".join(Thresholds.__struct_fields__)
        raise InvalidRequest(ErrorCode.INVALID_FIELD, f"Thresholds: {error}; there are {names}.") from None


def broken(
    outputs: tuple[OutputFidelity, ...],
    metric: Metric | None,
    bounds: Thresholds,
    *,
    labelled: bool,
    discrete: set[str],
) -> tuple[str, ...]:
    """The bounds that were not kept, one sentence each with number and bound.

    Args:
        outputs: What was measured.
        metric: Of the task; None: no labels.
        bounds: What must be kept.
        labelled: Whether there are labels, so that outputs are known to be scores of classes.
        discrete: Outputs of which only equality counts.
    """
    found: list[str] = []
    for each in outputs:
        if each.name not in discrete:
            found += _above("relative error at most", each.name, each.max_relative, bounds.max_relative)
            found += _above("mean relative error at most", each.name, each.mean_relative, bounds.mean_relative)
            found += _below("cosine", each.name, each.cosine, bounds.cosine)
        if each.top1_agreement is not None and (labelled or each.name in discrete):
            found += _below("agreement", each.name, each.top1_agreement, bounds.top1_agreement)
    if metric is not None and bounds.metric_drop is not None and metric.source - metric.value > bounds.metric_drop:
        found.append(
            f"{metric.name.capitalize()} fell from {metric.source:.4g} to {metric.value:.4g}; "
            f"expected a fall of at most {bounds.metric_drop:.4g}."
        )
    return tuple(found)


def _above(what: str, output: str, value: float, bound: float | None) -> list[str]:
    if bound is None or value <= bound:
        return []
    return [f"Output {output!r}: expected a {what} {bound:.4g}, got {value:.4g}."]


def _below(what: str, output: str, value: float, bound: float | None) -> list[str]:
    if bound is None or value >= bound:
        return []
    return [f"Output {output!r}: expected {what} of at least {bound:.6g}, got {value:.6g}."]
